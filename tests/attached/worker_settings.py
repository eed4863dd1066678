"""Settings of worker processes of a site that is attached to an index of its own."""

from __future__ import annotations

from tests.worker_settings import *  # noqa: F403
from tests.worker_settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.attached"]
