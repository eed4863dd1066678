"""What every check says: an id of ours, what is wrong, and how to mend it."""

from __future__ import annotations

from django.core import checks
from django.core.checks import CheckMessage


def error(number: int, message: str, hint: str, obj: object = None) -> CheckMessage:
    """Return what `check` fails with."""
    return checks.Error(message, hint=hint, obj=obj, id=f"llmrec_plugin.E{number:03}")


def warning(number: int, message: str, hint: str, obj: object = None) -> CheckMessage:
    """Return what `check` only tells."""
    return checks.Warning(message, hint=hint, obj=obj, id=f"llmrec_plugin.W{number:03}")
