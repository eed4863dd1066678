"""Says how far an evaluation is, told part by part."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from llmrec_plugin.types import Progress

ReportProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with (what is done, done, total)."""


def part(report_progress: ReportProgress, name: str) -> Progress:
    """Return the progress of one part of that name."""
    return lambda done, total: report_progress(name, done, total)
