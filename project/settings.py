"""Settings of the demo site: SQLite, the embedded engine, tasks in the process; nothing else to install.

Environment: DEBUG (default 1), DJANGO_SECRET_KEY (needed with DEBUG=0), ALLOWED_HOSTS (comma-separated),
DEMO (default as DEBUG; allows to look at the site as one of its sample customers), DATABASE_PATH,
LLMREC_DATA_DIR, LLMREC_ENCODER, SHOP_ENCODER, DEMO_FIXTURES (folder that load_demo reads),
CELERY_BROKER_URL (then tasks go to Celery).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _


def _flag(name: str, *, default: bool) -> bool:
    return os.environ.get(name, str(default)).lower() in ("1", "true", "yes", "on")


BASE_DIR = Path(__file__).resolve().parent.parent
FIXTURES = Path(os.environ.get("DEMO_FIXTURES", BASE_DIR / "fixtures"))

DEBUG = _flag("DEBUG", default=True)
DEMO = _flag("DEMO", default=DEBUG)
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "for development only" if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured("Set DJANGO_SECRET_KEY to a long random text when DEBUG is off.")
ALLOWED_HOSTS = [host for host in os.environ.get("ALLOWED_HOSTS", "").split(",") if host]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "llmrec_plugin",
    "project.shop",
    "project.school",
    "project.storefront",
    "workers",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "project.storefront.middleware.ViewAsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "project.storefront.context_processors.storefront",
            ]
        },
    }
]

DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE_PATH", str(BASE_DIR / "db.sqlite3")),
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "中文")]
LOCALE_PATHS = [BASE_DIR / "project" / "locale"]

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static-collected"

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG

REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
SPECTACULAR_SETTINGS = {
    "TITLE": "llmrec_plugin demo",
    "DESCRIPTION": _("Search and recommendations of the demo shop and school."),
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

SHOP_ENCODER = os.environ.get("SHOP_ENCODER", "sentence-transformers/all-MiniLM-L6-v2")
LLMREC = {
    "ENCODER": os.environ.get("LLMREC_ENCODER", "intfloat/multilingual-e5-small"),
    "DATA_DIR": os.environ.get("LLMREC_DATA_DIR", ""),
    "PLACEMENTS": {"because-you-viewed": {"anchor": ["view", "click"]}},
}

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "")
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
