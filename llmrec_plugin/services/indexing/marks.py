"""Leaving marks in the backlog: what receivers leave within a save, and what a site marks itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Model, QuerySet

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import DocumentError
from llmrec_plugin.models import OutboxEntry
from llmrec_plugin.services.coordination import guarded_writes
from llmrec_plugin.services.indexing import outbox
from llmrec_plugin.services.indexing.outbox import CHUNK
from llmrec_plugin.services.indexing.routes import Mark, routes_from

SINGLY = 20
"""Items of one change that get entries of their own; more share one, which a worker expands."""


def mark(
    target: Model | QuerySet[Any] | Iterable[Model],
    *,
    document: str | None = None,
) -> int:
    """Have items looked at again after a change that sends no signal, such as `QuerySet.update`.

        indexing.mark(Product.objects.filter(brand=brand))

    `target` holds items or related objects; `document` limits it to one label. Returns the number of
    entries appended; call it in the transaction of the change. Raises DocumentError for a model that
    no document reads.
    """
    if isinstance(target, QuerySet):
        keys = target.values_list("pk", flat=True).iterator(chunk_size=CHUNK)
        return outbox.append(_entries(target.model, keys, document), using=target.db)
    objects = [target] if isinstance(target, Model) else list(target)
    by_model: dict[tuple[type[Model], str | None], list[Any]] = {}
    for obj in objects:
        by_model.setdefault((type(obj), obj._state.db), []).append(obj.pk)
    return sum(
        outbox.append(_entries(model, keys, document), using=using)
        for (model, using), keys in by_model.items()
    )


def mark_keys(label: str, keys: Iterable[object]) -> int:
    """As `mark`, by primary key, for items that may be gone already; malformed keys are left out."""
    document = registry.get(label)
    pks = (document.to_pk(str(key)) for key in keys)
    return outbox.append(OutboxEntry(document=label, item_id=str(pk)) for pk in pks if pk is not None)


def _entries(model: type[Model], pks: Iterable[object], label: str | None) -> Iterator[OutboxEntry]:
    routes = routes_from(model)
    if label is not None:
        known = registry.get(label).label
        routes = [route for route in routes if route.label == known]
    if not routes:
        raise DocumentError(
            f"No document reads {model.__name__}: register a SearchDocument for it, or name it in `related`. "
            "For rows of an InteractionSource there is interactions.mark."
        )
    return (
        OutboxEntry(document=route.label, item_id=str(pk), via=route.via) for pk in pks for route in routes
    )


def leave(marks: Iterable[Mark], *, using: str) -> None:
    """Leave marks within a save in the database `using`: one statement for all of them, which cannot break
    the transaction of the save, and is never committed before it. Raises DatabaseError."""
    entries = _as_entries(dict.fromkeys(marks))
    if not entries:
        return
    if using == outbox.alias():
        _write(entries)
    else:
        transaction.on_commit(partial(_write, entries), using=using, robust=True)


def _as_entries(marks: Iterable[Mark]) -> list[OutboxEntry]:
    keys: dict[tuple[str, str], list[str]] = {}
    for label, via, key in marks:
        keys.setdefault((label, via), []).append(key)
    entries = []
    for (label, via), found in keys.items():
        if len(found) > SINGLY:
            entries.append(OutboxEntry(document=label, via=via, item_id="", keys=found))
        else:
            entries += [OutboxEntry(document=label, via=via, item_id=key) for key in found]
    return entries


def _write(entries: list[OutboxEntry]) -> None:
    guarded_writes.insert(entries, using=outbox.alias())
    outbox.announce()
