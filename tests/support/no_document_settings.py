"""The site of the tests without drf-spectacular."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

REST_FRAMEWORK = dict[str, str]()
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "drf_spectacular"]
