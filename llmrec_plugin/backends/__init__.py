"""Search engines: what one must do for us, and `get_backend()`, the one that LLMREC["BACKEND"] names.

An engine of somebody's own is a module that exports a `SearchBackend`; LLMREC["BACKEND"] is its dotted path.
"""

from __future__ import annotations

import os
import threading
from importlib import import_module
from inspect import isabstract

from django.core.signals import setting_changed
from django.dispatch import receiver

from llmrec_plugin.backends.base import AttachedBackend, SearchBackend
from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import ConfigurationError

__all__ = ["AttachedBackend", "SearchBackend"]

_lock = threading.Lock()
_backend: SearchBackend | None = None


def get_backend() -> SearchBackend:
    """The configured engine, the same object for all threads of this process.

    Raises ConfigurationError when LLMREC["BACKEND"] names no engine or its options are wrong.
    """
    global _backend  # noqa: PLW0603  (one engine per process)
    if _backend is None:
        with _lock:
            if _backend is None:
                _backend = _load()
    return _backend


def engine_class(path: str) -> type[SearchBackend]:
    """Return the engine that the module at `path` exports; raises ConfigurationError where it does not.

    Imports the module, and makes no engine.
    """
    try:
        module = import_module(path)
    except ImportError as error:
        raise ConfigurationError(
            f'LLMREC["BACKEND"] is {path!r}, which cannot be imported ({error}). '
            'Name a module that exports SearchBackend, such as "llmrec_plugin.backends.embedded".'
        ) from error
    engine = getattr(module, "SearchBackend", None)
    if not (isinstance(engine, type) and issubclass(engine, SearchBackend)) or isabstract(engine):
        raise ConfigurationError(
            f'LLMREC["BACKEND"] is {path!r}, but that module exports no class SearchBackend '
            f"that implements llmrec_plugin.backends.base.SearchBackend{_lacking(engine)}."
        )
    return engine


def _lacking(engine: object) -> str:
    """Return which methods of an engine are missing; empty for what is no engine."""
    lacking = sorted(getattr(engine, "__abstractmethods__", ())) if engine is not SearchBackend else []
    return f": it lacks {', '.join(lacking)}" if lacking else ""


def _load() -> SearchBackend:
    settings = get_settings()
    return engine_class(settings.BACKEND)(settings.BACKEND_OPTIONS)


@receiver(setting_changed)
def _reset(*, setting: str, **kwargs: object) -> None:
    global _backend  # noqa: PLW0603
    if setting in ("LLMREC", "BASE_DIR"):
        _backend = None


def _renew_lock() -> None:
    """The lock may have been held by a thread that does not exist in the forked child."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
