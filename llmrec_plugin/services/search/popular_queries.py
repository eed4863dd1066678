"""What many visitors search for, to be suggested to others; what few have asked for stays theirs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import router, transaction
from django.db.models.functions import Lower
from django.utils import timezone

from llmrec_plugin.analysis import pinyin
from llmrec_plugin.analysis.text import fold
from llmrec_plugin.backends.spelling import allowed_edits
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.models import Configuration, Impression, PopularQuery
from llmrec_plugin.services.coordination.versioned_cache import VersionedCache
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.services.serving import evidence

logger = logging.getLogger(__name__)

WINDOW = timedelta(days=90)
MAX_QUERIES = 2_000
"""Per document."""
LONGEST = 60
"""Characters: longer texts are pasted, not typed."""


@dataclass(frozen=True)
class Completion:
    """A popular search that is ready to be compared with what somebody types."""

    text: str
    keys: tuple[str, ...]
    """Folded, and in pinyin."""


def count_queries() -> dict[str, int]:
    """Count anew what was searched for in the last 90 days, and return how many searches are popular, by
    document.

    A search counts that found something as it was typed, by visitors whose lists may be learned from; upper
    and lower case are the same.
    """
    counted = {label: _count(label) for label in registry.labels()}
    Configuration.begin_edition(using=router.db_for_write(Configuration))
    logger.info("popular searches counted documents=%d searches=%d", len(counted), sum(counted.values()))
    return counted


def _count(label: str) -> int:
    lists = Impression.objects.filter(
        document=label, placement="search", at__gt=timezone.now() - WINDOW, total__gt=0
    )
    rows = (
        consent.consented(lists)
        .exclude(user_key="")
        .exclude(query="")
        .exclude(extra__has_key="relaxed")
        .order_by()
        .annotate(asked=Lower("query"))
        .values("asked")
        .annotate(visitors=evidence.people())
        .filter(visitors__gte=get_settings().SUGGEST_MIN_VISITORS)
        .order_by("-visitors", "asked")
    )
    popular = [
        PopularQuery(document=label, text=row["asked"], visitors=row["visitors"])
        for row in rows[:MAX_QUERIES]
        if len(row["asked"]) <= LONGEST
    ]
    with transaction.atomic(using=router.db_for_write(PopularQuery)):
        PopularQuery.objects.filter(document=label).delete()
        PopularQuery.objects.bulk_create(popular)
    return len(popular)


def suggested(label: str, typed: str, configuration: Configuration, *, limit: int) -> list[str]:
    """Return popular searches that go on as it was typed, or nearly so where none does, most popular first;
    all of them where nothing is typed yet. No query while nothing was counted anew."""
    known = _asked.get(configuration).get(label, ())
    typed = fold(" ".join(typed.split()))
    begun = [asked for asked in known if any(key.startswith(typed) for key in asked.keys)]
    if not begun and allowed_edits(typed):
        begun = _nearly(typed, known)
    return [asked.text for asked in begun if fold(asked.text) != typed][:limit]


def _nearly(typed: str, known: tuple[Completion, ...]) -> list[Completion]:
    from rapidfuzz.distance import OSA

    edits = allowed_edits(typed)
    return [
        asked
        for asked in known
        if asked.keys[0][:1] == typed[:1]
        and OSA.distance(typed, asked.keys[0][: len(typed)], score_cutoff=edits) <= edits
    ]


def _read() -> Mapping[str, tuple[Completion, ...]]:
    found: dict[str, list[Completion]] = {}
    for row in PopularQuery.objects.all():
        found.setdefault(row.document, []).append(Completion(row.text, _keys(row.text)))
    return {label: tuple(asked) for label, asked in found.items()}


def _keys(text: str) -> tuple[str, ...]:
    folded = fold(text)
    joined = folded.replace(" ", "")
    return (folded, *(() if folded.isascii() else pinyin.spellings(joined)))


_asked: VersionedCache[Mapping[str, Any]] = VersionedCache(_read, empty={})
