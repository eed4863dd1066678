"""Settings of the processes that tests of workers start: a broker, a shared cache and Celery as the demo site
has it."""

from __future__ import annotations

import os

from project import settings as project
from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS, LLMREC

INSTALLED_APPS = [*INSTALLED_APPS, "django_celery_beat", "workers"]
globals().update({name: getattr(project, name) for name in dir(project) if name.startswith("CELERY_")})
CELERY_BROKER_URL = os.environ["LLMREC_TEST_REDIS"]
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["LLMREC_TEST_REDIS"],
        "OPTIONS": {"socket_connect_timeout": 0.25, "socket_timeout": 0.25},
    }
}
LLMREC = {
    **LLMREC,
    "ENCODER": "tests.support.steady_encoder",
    "ENCODER_OPTIONS": {},
    "TASKS": "celery",
    "LIMITS": {"drain_batch": 16},
}
if "LLMREC_TEST_DB_ENGINE" in os.environ:
    DATABASES["default"]["ENGINE"] = os.environ["LLMREC_TEST_DB_ENGINE"]
if "LLMREC_TEST_ELASTICSEARCH" in os.environ:
    LLMREC |= {
        "BACKEND": "llmrec_plugin.backends.elasticsearch",
        "BACKEND_OPTIONS": {"hosts": os.environ["LLMREC_TEST_ELASTICSEARCH"], "request_timeout": 30},
        "INDEX_PREFIX": "workers",
    }
