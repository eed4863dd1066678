"""Reads the settings that a deployment gives in environment variables."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def flag(name: str, *, default: bool) -> bool:
    return os.environ.get(name, str(default)).lower() in ("1", "true", "yes", "on")


def words(name: str, default: str = "") -> list[str]:
    """What the variable lists, separated by commas."""
    return [word for part in os.environ.get(name, default).split(",") if (word := part.strip())]


def number(name: str, default: int) -> int:
    text = os.environ.get(name, "") or str(default)
    try:
        return int(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {text!r}; it must be a whole number.") from None


def database(url: str, *, path: str) -> dict[str, Any]:
    """`postgresql://user:password@host:port/name?sslmode=require`; empty: SQLite in the file `path`.

    What follows the question mark is handed to the driver. Raises ImproperlyConfigured, without the
    password, for anything else.
    """
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": path,
            "OPTIONS": {
                "timeout": 30,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres") or not parts.path.strip("/"):
        raise ImproperlyConfigured(
            f'DATABASE_URL begins with "{parts.scheme}:"; it must be postgresql://user:password@host/name.'
        )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "OPTIONS": dict(parse_qsl(parts.query)),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def search_engine() -> dict[str, Any]:
    """BACKEND and BACKEND_OPTIONS of LLMREC: Elasticsearch where ELASTICSEARCH_URL names one."""
    hosts = words("ELASTICSEARCH_URL")
    if not hosts:
        return {}
    options: dict[str, Any] = {"hosts": hosts}
    if user := os.environ.get("ELASTICSEARCH_USER"):
        options["basic_auth"] = (user, os.environ.get("ELASTICSEARCH_PASSWORD", ""))
    if key := os.environ.get("ELASTICSEARCH_API_KEY"):
        options["api_key"] = key
    if certificates := os.environ.get("ELASTICSEARCH_CA_CERTS"):
        options["ca_certs"] = certificates
    options["shards"] = number("ELASTICSEARCH_SHARDS", 1)
    return {"BACKEND": "llmrec_plugin.backends.elasticsearch", "BACKEND_OPTIONS": options}
