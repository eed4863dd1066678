"""Settings of the demo site: SQLite, the embedded engine, tasks in the process; nothing else to install.

The environment turns it into a site of several servers. `.env.example` and `compose.yaml` show it whole.
DEBUG (default 1), DJANGO_SECRET_KEY (needed with DEBUG=0), ALLOWED_HOSTS and CSRF_TRUSTED_ORIGINS
(comma-separated), HTTPS (default 1 with DEBUG=0: answer over TLS alone, which a proxy in front ends), PROXIES
(how many are in front), DEMO (default as DEBUG; allows to look at the site as one of its sample customers),
DATABASE_URL or DATABASE_PATH (SQLite), ELASTICSEARCH_URL, _USER, _PASSWORD, _API_KEY, _CA_CERTS, _SHARDS,
LLMREC_DATA_DIR, LLMREC_ENCODER, SHOP_ENCODER, STATIC_ROOT, DEMO_FIXTURES (folder that load_demo reads),
CELERY_BROKER_URL (then tasks go to Celery), CACHE_URL (a Redis for the cache; without it each process has
its own), METRICS_TOKEN (what Prometheus sends to read api/metrics/).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from project import environment

BASE_DIR = Path(__file__).resolve().parent.parent
FIXTURES = Path(os.environ.get("DEMO_FIXTURES", BASE_DIR / "fixtures"))

DEBUG = environment.flag("DEBUG", default=True)
DEMO = environment.flag("DEMO", default=DEBUG)
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "for development only" if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured("Set DJANGO_SECRET_KEY to a long random text when DEBUG is off.")
ALLOWED_HOSTS = environment.words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = environment.words("CSRF_TRUSTED_ORIGINS")

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
    *([] if DEBUG else ["whitenoise.middleware.WhiteNoiseMiddleware"]),  # runserver does it with DEBUG
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
    "default": environment.database(
        os.environ.get("DATABASE_URL", ""),
        path=os.environ.get("DATABASE_PATH", str(BASE_DIR / "db.sqlite3")),
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "中文")]
LOCALE_PATHS = [BASE_DIR / "project" / "locale"]

STATIC_URL = "static/"
STATIC_ROOT = os.environ.get("STATIC_ROOT", str(BASE_DIR / "static-collected"))
if not DEBUG:  # names with hashes, compressed, for ever in the browser's cache
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }

HTTPS = environment.flag("HTTPS", default=not DEBUG)
CACHE_URL = os.environ.get("CACHE_URL", "")
if CACHE_URL:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": CACHE_URL,
            # A cache that does not answer at once is no help: the request goes on without it.
            "OPTIONS": {"socket_connect_timeout": 0.25, "socket_timeout": 0.25},
        }
    }

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
    SECURE_REDIRECT_EXEMPT = [r"^api/health/"]  # asked inside the network, past the proxy

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "NUM_PROXIES": environment.number("PROXIES", 0),
}
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
    "METRICS_TOKEN": os.environ.get("METRICS_TOKEN", ""),
    **environment.search_engine(),
    "PLACEMENTS": {
        "because-you-viewed": {"anchor": ["view", "click"]},
        "latest": {"diversity": 0.3},  # the letters of an alphabet came in on one day
    },
}

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Seconds until Redis hands a message out again that a vanished machine has taken. Tasks that run longer
    # hold a lock of the database, so that their second message does no harm.
    "visibility_timeout": 3600,
    "socket_connect_timeout": 2,
    "socket_timeout": 10,
}
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20  # seconds to finish in, where REMAP_SIGTERM=SIGQUIT is set
CELERY_WORKER_MAX_MEMORY_PER_CHILD = (
    3_000_000  # KiB; a child that has grown beyond is replaced after its task
)
CELERY_TIMEZONE = TIME_ZONE
