"""The site of the tests without drf-spectacular."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, REST_FRAMEWORK

REST_FRAMEWORK = {name: value for name, value in REST_FRAMEWORK.items() if "spectacular" not in value}
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "drf_spectacular"]
