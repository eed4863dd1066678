"""A site with nothing but imported items; its database and indexes live in LLMREC_BENCH_DIR."""

from __future__ import annotations

import os

BASE_DIR = os.environ["LLMREC_BENCH_DIR"]
SECRET_KEY = "benchmarks only"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "llmrec_plugin",
    "benchmarks.site",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{BASE_DIR}/site.sqlite3",
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
# The query cache would measure itself.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
LLMREC = {
    "DATA_DIR": f"{BASE_DIR}/data",
    "ENCODER": os.environ.get("LLMREC_BENCH_ENCODER", "sentence-transformers/all-MiniLM-L6-v2"),
    "TASKS": "off",
}
