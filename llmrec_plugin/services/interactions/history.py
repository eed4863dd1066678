"""What a user did: their latest events, and the items they took."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import router

from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.event_kinds import kind_choices
from llmrec_plugin.models import Interaction
from llmrec_plugin.types import Event


def latest_events(
    user_key: str,
    *,
    document: str,
    limit: int,
    ignoring: Collection[str] = (),
    before: datetime | None = None,
) -> list[Event]:
    """Return the user's latest events with items of one document, newest first; one query.

    `ignoring`: keys of items whose events are left out. `before`: only what came before that moment.
    """
    events = Interaction.objects.filter(user_key=user_key, document=document)
    if ignoring:
        events = events.exclude(item_id__in=ignoring)
    if before is not None:
        events = events.filter(at__lt=before)
    rows = events.order_by("-at", "-id").values_list("item_id", "kind", "at", "value")[:limit]
    return [Event(key=key, kind=kind, at=at, value=value) for key, kind, at, value in rows]


def kind_labels() -> dict[str, str]:
    """Return what each kind of event is called in the reader's language, such as "put in the basket"."""
    return {kind: str(label) for kind, label in kind_choices()}


def taken_keys(user_key: str, *, document: str, kinds: Sequence[str]) -> frozenset[str]:
    """Return the items that the user has ever done one of `kinds` with; one query."""
    rows = Interaction.objects.filter(user_key=user_key, document=document, kind__in=kinds)
    return frozenset(rows.values_list("item_id", flat=True).distinct())


def existing_keys(document: SearchDocument[Any], keys: Iterable[str]) -> set[str]:
    """Return those of the keys that the document's own queryset holds; malformed ones are left out; one
    query, of the database that items are written to: what is new may not be in a replica yet."""
    rows = document.rows_of(keys).using(router.db_for_write(document.model))
    return {str(pk) for pk in rows.order_by().values_list("pk", flat=True)}
