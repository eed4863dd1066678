"""Settings of the test suite: a small host site, the hashing encoder and the embedded engine."""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "tests only"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
PARLER_LANGUAGES: dict[Any, Any] = {
    None: ({"code": "en"}, {"code": "zh-hans"}),
    "default": {"fallbacks": ["en"]},
}
PARLER_ENABLE_CACHING = False  # its cache knows of no rollback
LOCALE_PATHS: list[str] = []
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "llmrec_plugin",
    "tests.hostapp",
]
# A site with relations that other packages make; an environment may lack them.
STRANGERS = ["taggit", "modelcluster", "parler"]
if all(find_spec(name) for name in STRANGERS):
    INSTALLED_APPS += [*STRANGERS, "tests.strangers"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "tests.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def _database(place: str) -> dict[str, Any]:
    """A file of SQLite, or a database of PostgreSQL by its url."""
    url = urlsplit(place)
    if url.scheme == "postgresql":
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": url.path.lstrip("/"),
            "USER": url.username,
            "HOST": url.hostname,
            "PORT": url.port,
        }
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": place,
        "OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE"},
    }


# Tests of crashes and concurrency start processes of their own on this database.
DATABASES = {"default": _database(os.environ.get("LLMREC_TEST_DB", ":memory:"))}
# The host site's models, without migrations, point to users: PostgreSQL wants their tables made together.
MIGRATION_MODULES = dict.fromkeys(("auth", "contenttypes", "taggit"))
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
LLMREC: dict[str, Any] = {
    "ENCODER": "llmrec_plugin.encoders.hashing",
    "ENCODER_OPTIONS": {"dimensions": 64},
    "DATA_DIR": os.environ.get("LLMREC_TEST_DATA", str(Path(tempfile.gettempdir()) / "llmrec-tests")),
    "TASKS": "off",
}
