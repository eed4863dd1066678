"""Settings of the processes that tests of training start: beat has what is due learned every second."""

from __future__ import annotations

from llmrec_plugin.conf import Schedule
from tests.settings import LLMREC as TEST_LLMREC
from tests.worker_settings import *  # noqa: F403
from tests.worker_settings import INSTALLED_APPS

INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "django_celery_beat"]
LLMREC = {
    **TEST_LLMREC,
    "TASKS": "celery",
    "SCHEDULE": {**dict.fromkeys(vars(Schedule())), "fit_models": 1},
}
