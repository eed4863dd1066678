"""How much waits to be indexed, and since when: one query for status, health check and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q
from django.utils import timezone

from llmrec_plugin.models import OutboxEntry

LATE = timedelta(minutes=5)
"""A change that nobody has tried to index for so long shows that no worker is at work."""


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What waits for one document."""

    entries: int = 0
    failing: int = 0
    """Tried and failed."""
    oldest: datetime | None = None
    """When the oldest entry came in."""
    untried: datetime | None = None
    """When the oldest change came in that nobody has tried yet; what only a new index lacks is left out."""

    @property
    def age_seconds(self) -> float:
        """How far the index may be behind the site."""
        return _seconds_since(self.oldest)

    @property
    def is_late(self) -> bool:
        return _seconds_since(self.untried) > LATE.total_seconds()


def waiting() -> dict[str, Backlog]:
    """By label; a document that nothing waits for is left out."""
    untried = Q(attempts=0, index_version=None) & (Q(not_before=None) | Q(not_before__lte=timezone.now()))
    rows = (
        OutboxEntry.objects.order_by()
        .values("document")
        .annotate(
            entries=Count("pk"),
            failing=Count("pk", filter=Q(attempts__gt=0)),
            oldest=Min("created_at"),
            untried=Min("created_at", filter=untried),
        )
    )
    return {
        row["document"]: Backlog(
            entries=row["entries"], failing=row["failing"], oldest=row["oldest"], untried=row["untried"]
        )
        for row in rows
    }


def _seconds_since(at: datetime | None) -> float:
    return 0.0 if at is None else max(0.0, (timezone.now() - at).total_seconds())
