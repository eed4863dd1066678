"""Reads the items and events of one document for an evaluation, as rows of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.analysis.tokens import index_terms
from llmrec_plugin.documents import registry
from llmrec_plugin.evaluation.protocol import Events
from llmrec_plugin.event_kinds import liking_of
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.learning.scorers.tfidf import tfidf
from llmrec_plugin.learning.selection.baselines import Catalogue
from llmrec_plugin.models import Configuration, Embedding, IndexVersion, Interaction
from llmrec_plugin.services.items.preparation import prepared
from llmrec_plugin.services.privacy import consent

CHUNK = 2_000
MIN_USERS = 2


@dataclass(frozen=True, eq=False, kw_only=True)
class Log:
    """Holds events in favour of items that can be found, in the order of time."""

    keys: Sequence[str]
    """Of the items, by row."""
    users: Sequence[str]
    """Keys of the users, by row."""
    events: Events
    rows: NDArray[np.int64]
    """Primary key of each event's interaction."""
    moments: Sequence[datetime]
    """When each event was."""
    left_out: dict[str, int]
    """Interactions that are no events here, counted by why."""

    @cached_property
    def places(self) -> dict[int, list[int]]:
        """Return user -> the places of that user's events in the log."""
        found: dict[int, list[int]] = {}
        for place, user in enumerate(self.events.users.tolist()):
            found.setdefault(user, []).append(place)
        return found

    @cached_property
    def row_of(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(self.keys)}


def read_catalogue(version: IndexVersion) -> tuple[list[str], Catalogue]:
    """Return keys, vectors and words of the items in the index; raises InvalidRequest where there are
    none."""
    stored = Embedding.objects.filter(document=version.document, encoder_id=version.encoder_id)
    vector_of = {row.item_id: row.as_array() for row in stored.only("item_id", "vector").iterator(CHUNK)}
    document = registry.get(version.document)
    words: dict[str, list[str]] = {}
    for row in document.get_queryset().order_by("pk").iterator(CHUNK):
        if str(row.pk) in vector_of and (found := prepared(document, row)) is not None:
            words[found.key] = index_terms(found.passage, found.language)
    if not words:
        raise InvalidRequest("There is no item with a text: nothing can be ranked.", parameter="items")
    keys = list(words)
    vectors = np.stack([vector_of[key] for key in keys])
    return keys, Catalogue(vectors=vectors, words=tfidf(list(words.values())))


def read_log(label: str, keys: Sequence[str]) -> Log:
    """Return the events of consenting users on these items; raises InvalidRequest where they are too few."""
    weights = Configuration.current().kind_weights
    item_row = {key: row for row, key in enumerate(keys)}
    user_row: dict[str, int] = {}
    left_out: Counter[str] = Counter()
    found: list[tuple[int, int, int, datetime]] = []
    rows = consent.consented(Interaction.objects.filter(document=label)).order_by("at", "id")
    columns = ("pk", "user_key", "item_id", "kind", "value", "at")
    for pk, user, key, kind, value, at in rows.values_list(*columns).iterator(chunk_size=10_000):
        if key not in item_row:
            left_out["unknown item"] += 1
        elif weights.get(kind, 0.0) <= 0 or liking_of(kind, value) <= 0:
            left_out["not in favour"] += 1
        else:
            found.append((pk, user_row.setdefault(user, len(user_row)), item_row[key], at))
    if not found:
        raise InvalidRequest(_nothing(left_out), parameter="interactions")
    if len(user_row) < MIN_USERS:
        raise InvalidRequest(
            "All events are of one user: what some do cannot tell anything of what others do.",
            parameter="interactions",
        )
    moments = [at for *_, at in found]
    return Log(
        keys=keys,
        users=list(user_row),
        events=Events.of(
            [user for _, user, _, _ in found],
            [item for _, _, item, _ in found],
            [at.timestamp() for at in moments],
        ),
        rows=np.array([pk for pk, *_ in found], np.int64),
        moments=moments,
        left_out=dict(left_out),
    )


def _nothing(left_out: Counter[str]) -> str:
    why = ", ".join(f"{reason}: {count}" for reason, count in sorted(left_out.items()))
    return (
        f"There is no event in favour of a known item{f' ({why})' if why else ''}: nothing can be foreseen."
    )
