"""What not every site needs is installed as an extra; what lacks one says which, and how it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "celery": ("celery",),
    "contracts": ("hypothesis", "pytest", "pytest-django"),
    "django-tasks": ("django-tasks",),
    "elasticsearch": ("elasticsearch",),
    "http": ("httpx",),
    "languages": ("py3langid",),
    "openapi": ("djangorestframework", "drf-spectacular"),
    "pinyin": ("jieba", "opencc", "pypinyin"),
    "prometheus": ("prometheus-client",),
    "rest": ("djangorestframework",),
    "torch": ("sentence-transformers", "torch"),
    "train": ("sentence-transformers", "torch", "peft"),
    "zh": ("jieba", "opencc"),
}
"""Extra of the distribution -> the packages that it brings."""
_MODULES: Mapping[str, str] = {"djangorestframework": "rest_framework"}
"""Of packages whose module is called otherwise."""


def is_installed(extra: str) -> bool:
    """Return whether the packages of the extra are there; imports none of them."""
    return not _absent(extra)


def has_django_tasks() -> bool:
    """Return whether there are tasks of Django: it brings them from 6.0 on, before that the extra does."""
    return find_spec("django.tasks") is not None or is_installed("django-tasks")


def missing(extra: str, what: str, *, error: ImportError | None = None) -> str:
    """Return the sentence that says that `what` needs the extra, and the line that installs it.

    `error`: why a package that is there cannot be used.
    """
    names = " and ".join(_absent(extra) or PACKAGES[extra])
    cause = f" ({error})" if error is not None else ""
    return f"{what} needs {names}{cause}: {pip_line(extra)}."


def pip_line(extra: str) -> str:
    """Return what to type in a terminal to install the extra."""
    return f'pip install "llmrec-plugin[{extra}]"'


def _absent(extra: str) -> list[str]:
    return [name for name in PACKAGES[extra] if find_spec(_module(name)) is None]


def _module(package: str) -> str:
    return _MODULES.get(package, package.replace("-", "_"))
