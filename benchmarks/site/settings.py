"""A site with nothing but imported items; its database and indexes live in LLMREC_BENCH_DIR.

DATABASE_URL, ELASTICSEARCH_URL and CELERY_BROKER_URL put it on servers, as in project/settings.py.
"""

from __future__ import annotations

import os

from project import environment

BASE_DIR = os.environ["LLMREC_BENCH_DIR"]
SECRET_KEY = "benchmarks only"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "llmrec_plugin",
    "benchmarks.site",
    "workers",
]
ROOT_URLCONF = "benchmarks.site.urls"
DATABASES = {
    "default": environment.database(os.environ.get("DATABASE_URL", ""), path=f"{BASE_DIR}/site.sqlite3")
}
# The query cache would measure itself, and throttles would measure patience.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"llmrec-read": None, "llmrec-write": None}}
LLMREC = {
    "DATA_DIR": f"{BASE_DIR}/data",
    "ENCODER": os.environ.get("LLMREC_BENCH_ENCODER", "sentence-transformers/all-MiniLM-L6-v2"),
    "TASKS": "off",
    **environment.search_engine(),
}
CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "")
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
