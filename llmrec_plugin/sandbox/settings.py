"""Settings of the throwaway site: its own SQLite file, its own index, no broker, no cache, no urls.

The folder is named by LLMREC_SANDBOX; its request.json holds the documents and LLMREC.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

BASE_DIR = Path(os.environ["LLMREC_SANDBOX"])
REQUEST = json.loads((BASE_DIR / "request.json").read_text(encoding="utf-8"))

SECRET_KEY = "of a site that nobody visits"  # noqa: S105  (signs cursors that are thrown away)
USE_TZ = True
TIME_ZONE = REQUEST["time_zone"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "llmrec_plugin",
    "llmrec_plugin.sandbox",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(BASE_DIR / "site.sqlite3"),
        # It need not outlive a power cut.
        "OPTIONS": {"timeout": 60, "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"},
    }
}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING_CONFIG = None
LLMREC = {
    **REQUEST["llmrec"],
    "BACKEND": "llmrec_plugin.backends.embedded",
    "BACKEND_OPTIONS": {},
    "DATA_DIR": str(BASE_DIR / "data"),
    "CONSENT": "opt-out",
    "TASKS": "off",
}
