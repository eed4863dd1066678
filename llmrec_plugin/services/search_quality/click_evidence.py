"""What tells good weights of search from bad ones: what queries find, and what people clicked where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import numpy as np
from django.db.models import Q
from django.utils import timezone

from llmrec_plugin.documents.signals import signals
from llmrec_plugin.event_kinds import click_kinds
from llmrec_plugin.learning.click_models.fusion_weights import Candidates
from llmrec_plugin.learning.click_models.position_bias import PositionBias, fit_position_bias
from llmrec_plugin.learning.selection.folds import Values
from llmrec_plugin.models import Configuration, ConfigurationChange, Impression, Interaction
from llmrec_plugin.ranking.stages import Taste
from llmrec_plugin.services.curation import rules
from llmrec_plugin.services.deployment.live import LivePair
from llmrec_plugin.services.inference.item_vectors import vectors_of
from llmrec_plugin.services.interactions import history
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.services.profiles import taste
from llmrec_plugin.services.profiles.taste import UserContext
from llmrec_plugin.services.search import pipeline
from llmrec_plugin.services.search.context import SEARCH_PLACEMENT
from llmrec_plugin.services.serving.variants import Variant
from llmrec_plugin.types import SearchRequest

WINDOW = timedelta(days=90)
MAX_LISTS = 20_000
MAX_PLACES = 50
"""Of a list that are looked at."""
BATCH = 500
BOTH = 0.5
PROBE: Mapping[str, Any] = {
    "text_weight": BOTH,
    "taste_weight": 0.0,
    "relax_queries": False,
}
"""The configuration under which what each leg gives can be read from the contributions."""
_LEGS = frozenset(("text", "vector"))
WEIGHTED = ("fusion", "rrf_k", "text_weight", "taste_weight")


class Degraded(Exception):
    """Raised where a leg did not answer: what is found now tells nothing of the weights."""


@dataclass(frozen=True, kw_only=True)
class Click:
    """A frozen record of one item that a visitor took from the list of a search."""

    query: str
    user: str
    key: str
    position: int
    """From 1."""
    at: datetime
    """When the list was served."""


@dataclass(frozen=True, kw_only=True)
class ClickLog:
    """A frozen record that tells what became of the searches."""

    clicks: Sequence[Click]
    bias: PositionBias


def candidates(label: str, text: str, configuration: Configuration) -> Candidates:
    """Return what the query finds, run once, as nobody in particular and without rules of editors.

    Raises Degraded.
    """
    variant = Variant(configuration=configuration.with_overrides(PROBE))
    with rules.preview_rules(()):
        ranked = pipeline.ranked_list(SearchRequest(document=label, text=text), variant)
    if ranked.degraded:
        raise Degraded
    items = sorted(ranked.items, key=lambda item: item.key)
    legs = {name: np.full(len(items), np.nan) for name in ("text", "vector")}
    other = np.zeros(len(items))
    moved = {signal.contribution.name for signal in signals if signal.reorders}
    for place, item in enumerate(items):
        for name, value in item.contributions.items():
            column = legs.get(name)
            if column is not None:
                column[place] = value
            elif name not in moved:  # what goes by the order would be another with other weights
                other[place] += value
    both = all((~np.isnan(column)).any() for column in legs.values())
    full = BOTH if both else 1.0  # one leg alone counts in full
    return Candidates([item.key for item in items], legs["text"] / full, legs["vector"] / full, other)


def tastes(
    pair: LivePair, found: Candidates, clicks: Sequence[Click], configuration: Configuration
) -> Iterator[tuple[Click, Values]]:
    """Yield the clicks of those with a past, each with what the taste that it showed by then gives to each
    item."""
    known, label = vectors_of(pair.index_version, found.keys), pair.index_version.document
    for click in clicks:
        events = history.latest_events(
            click.user, document=label, limit=configuration.history_length, before=click.at
        )
        user = UserContext(key=click.user, remembered=True, consented=True, events=tuple(events))
        vectors = {**known, **vectors_of(pair.index_version, {event.key for event in events} - known.keys())}
        profile = taste.build_user_profile(user, vectors, configuration=configuration, now=click.at)
        if profile is not None:
            given = Taste(profile, known, 1.0).contributions(found.keys)
            yield click, np.array([sum(parts.values()) for parts in given])


def read_clicks(label: str, pair: LivePair, configuration: Configuration) -> ClickLog:
    """Return the clicks in lists of the control, ranked by the weights and the encoder that count now.

    With older ones, what other weights had shown would seem better for having been shown. Of one visitor
    the latest list of each query counts, so that nobody speaks twice.
    """
    clicks: list[Click] = []
    shown: tuple[list[int], list[int], list[bool]] = ([], [], [])
    pairs: dict[tuple[str, str], int] = {}
    typed: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for row, taken in _lists(label, pair, configuration):
        name = row["query"].casefold()
        ranking = row["ranking"]
        if (row["user_key"], name) in seen or not ranking or not _LEGS.intersection(ranking[0][1]):
            continue  # in the order of a field nothing was ranked
        seen.add((row["user_key"], name))
        query = typed.setdefault(name, row["query"])
        for position, (key, _) in enumerate(ranking[: min(row["shown"], MAX_PLACES)], start=1):
            shown[0].append(pairs.setdefault((name, key), len(pairs)))
            shown[1].append(position)
            shown[2].append(key in taken)
            if key in taken:
                clicks.append(
                    Click(query=query, user=row["user_key"], key=key, position=position, at=row["at"])
                )
    return ClickLog(clicks=clicks, bias=fit_position_bias(*shown))


def _lists(
    label: str, pair: LivePair, configuration: Configuration
) -> Iterator[tuple[dict[str, Any], set[str]]]:
    """Yield each list with what was clicked in it, the latest first."""
    since = timezone.now() - WINDOW
    changed = _weighted_since(label, pair, configuration)
    found = consent.consented(
        Impression.objects.filter(
            Q(arm=None) | Q(arm__is_control=True),
            document=label,
            placement=SEARCH_PLACEMENT,
            index_version__encoder_id=pair.index_version.encoder_id,
            at__gt=since if changed is None else max(since, changed),
        )
    )
    named = found.exclude(user_key="").exclude(query="").exclude(extra__has_key="relaxed")
    rows = named.order_by("-at").values("request_id", "user_key", "query", "ranking", "shown", "at")
    latest = rows[:MAX_LISTS].iterator(chunk_size=BATCH)
    while batch := list(islice(latest, BATCH)):
        clicked = clicked_in([row["request_id"] for row in batch])
        for row in batch:
            yield dict(row), clicked.get(row["request_id"], set())


def clicked_in(request_ids: Sequence[UUID]) -> dict[UUID, set[str]]:
    """Return list -> what was taken of it; lists without a click are left out. One query."""
    rows = Interaction.objects.filter(request_id__in=request_ids, kind__in=click_kinds()).order_by()
    found: dict[UUID, set[str]] = {}
    for request_id, key in rows.values_list("request_id", "item_id"):
        if request_id is not None:
            found.setdefault(request_id, set()).add(key)
    return found


def _weighted_since(label: str, pair: LivePair, configuration: Configuration) -> datetime | None:
    """Return since when search has been weighed as it is now; None: as long as is known."""
    encoder_id = pair.index_version.encoder_id

    def weighted(one: Configuration) -> list[Any]:
        counted = one.for_search(label, encoder_id)
        return [getattr(counted, name) for name in WEIGHTED]

    since = None
    for change in ConfigurationChange.objects.iterator():
        former = Configuration().with_overrides(change.known_values())
        if weighted(former) != weighted(configuration):
            return since
        since = change.at
    return None
