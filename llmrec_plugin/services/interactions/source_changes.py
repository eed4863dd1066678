"""The rows of interaction sources that are to be looked at again: marked, and announced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import router, transaction
from django.db.models import Count, Max, Min, Model, Q, QuerySet
from django.dispatch import Signal
from django.utils import timezone

from llmrec_plugin.documents import InteractionSource, registry
from llmrec_plugin.exceptions import DocumentError, NotFound
from llmrec_plugin.models import SourceChange
from llmrec_plugin.suggest import hint

changed = Signal()
"""Sent once per commit that marked rows, so that receivers can have their events brought up to date."""

CHUNK = 1000
BACK_OFF_FIRST = timedelta(seconds=10)
BACK_OFF_MOST = timedelta(hours=1)


@dataclass(frozen=True)
class SourceRoute:
    """A way from a changed row to the rows of a source."""

    source: InteractionSource[Any]
    via: str = ""
    """Lookup from the source's row to the changed one; empty: they are the same."""
    moves: bool = False
    """The changed row holds the key, so that saving it may take it from one row of the source to another."""
    keys_only: bool = False
    """The source knows the row by its primary key alone."""
    cascades: bool = False
    """Where the row is deleted, the source's rows are deleted with it, and say so themselves."""

    def change(self, pk: object) -> SourceChange:
        return SourceChange(source=self.source.label, row_id=str(pk), via=self.via)


def mark(target: Model | QuerySet[Any] | Iterable[Model], *, source: str | None = None) -> int:
    """Have the events of rows looked at again after a change that sends no signal, such as
    `QuerySet.update`.

        interactions.mark(OrderLine.objects.filter(order__in=paid))

    `target` holds rows of an InteractionSource, or objects that they refer to, such as the orders themselves;
    `source` limits it to one label. Returns the number of marks; call it in the transaction of the change.
    Raises DocumentError for a model that no source reads.
    """
    if isinstance(target, QuerySet):
        keys = target.values_list("pk", flat=True).iterator(chunk_size=CHUNK)
        return append(_changes(target.model, keys, source), using=target.db)
    by_model: dict[tuple[type[Model], str | None], list[Any]] = {}
    for obj in [target] if isinstance(target, Model) else target:
        by_model.setdefault((type(obj), obj._state.db), []).append(obj.pk)
    return sum(
        append(_changes(model, keys, source), using=using) for (model, using), keys in by_model.items()
    )


def source_of(label: str) -> InteractionSource[Any]:
    """Return the source of that label; raise NotFound, naming the nearest."""
    known = {source.label: source for source in registry.interaction_sources}
    if label not in known:
        raise NotFound(f'There is no interaction source "{label}". {hint(label, known)}')
    return known[label]


def _changes(model: type[Model], pks: Iterable[object], label: str | None) -> Iterator[SourceChange]:
    wanted = None if label is None else source_of(label)
    routes = [route for route in routes_from(model) if wanted is None or route.source is wanted]
    if not routes:
        raise DocumentError(
            f"No InteractionSource reads {model.__name__}: register one for it, or name it in `related`."
        )
    return (route.change(pk) for pk in pks for route in routes)


def routes_from(model: type[Model]) -> list[SourceRoute]:
    """Return all ways from rows of `model`, as rows of a source and as what such rows refer to."""
    routes = []
    for source in registry.interaction_sources:
        if issubclass(model, _concrete(source.model)):
            routes.append(SourceRoute(source))
        with suppress(DocumentError):  # the system checks report it; saves go on
            for way in source.followed():
                if issubclass(model, _concrete(way.model)):
                    routes.append(
                        SourceRoute(
                            source,
                            way.path.lookup(),
                            moves=any(hop.reverse for hop in way.path.hops),
                            keys_only=way.keys_only,
                            cascades=all(hop.cascades for hop in way.path.hops),
                        )
                    )
    return routes


def rows_through(source: InteractionSource[Any], via: str, related: object, *, using: str) -> QuerySet[Any]:
    """Return the primary keys of the source's rows, counted or not, that lead to that object now."""
    rows = source.model._base_manager.using(using).filter(**{f"{via}__pk": related})
    keys: QuerySet[Any] = rows.order_by("pk").values_list("pk", flat=True).distinct()
    return keys


def alias() -> str:
    """Return the database that the marks live in."""
    return router.db_for_write(SourceChange)


def append(changes: Iterable[SourceChange], *, using: str | None = None) -> int:
    """Add marks along with the change of a row in the database `using`: never before it is committed. In the
    marks' own database both are one transaction."""
    if using is not None and using != alias():
        waiting = list(changes)
        transaction.on_commit(lambda: store(waiting), using=using, robust=True)
        return len(waiting)
    return store(changes)


def store(changes: Iterable[SourceChange]) -> int:
    """Write marks and have them followed after the commit; return how many there were."""
    stored = 0
    remaining = iter(changes)
    while chunk := list(islice(remaining, CHUNK)):
        SourceChange.objects.using(alias()).bulk_create(chunk)
        stored += len(chunk)
    if stored:
        announce_changes()
    return stored


def announce_changes() -> None:
    """Say once, after the commit, that marks wait."""
    waiting = transaction.get_connection(alias()).run_on_commit
    if not any(callback[1] is _send_changed for callback in waiting):
        transaction.on_commit(_send_changed, using=alias(), robust=True)


def _send_changed() -> None:
    changed.send_robust(sender=SourceChange)


def due(now: datetime | None = None) -> QuerySet[SourceChange]:
    """Return the marks whose turn has come, the oldest first."""
    is_due = Q(not_before=None) | Q(not_before__lte=now or timezone.now())
    return SourceChange.objects.using(alias()).filter(is_due).order_by("id")


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What waits to be followed of one source."""

    marks: int
    failing: int
    """Rows that could not be read."""
    oldest: datetime
    """When the oldest mark came in."""
    error: str
    """Of a row that could not be read; empty: all could."""


def waiting() -> dict[str, Waiting]:
    """Return by label what waits; a source that nothing waits for is left out. One query."""
    rows = (
        SourceChange.objects.using(alias())
        .order_by()
        .values("source")
        .annotate(
            marks=Count("pk"),
            failing=Count("pk", filter=Q(attempts__gt=0)),
            oldest=Min("created_at"),
            error=Max("last_error"),
        )
    )
    return {
        row["source"]: Waiting(
            marks=row["marks"], failing=row["failing"], oldest=row["oldest"], error=row["error"]
        )
        for row in rows
    }


def postpone(changes: Sequence[SourceChange], error: str) -> None:
    """Put marks off that could not be followed: a longer time after each attempt."""
    for change in changes:
        set_back(change, error)
    SourceChange.objects.using(alias()).bulk_update(changes, ["attempts", "last_error", "not_before"])


def set_back(change: SourceChange, error: str) -> None:
    """Have the mark, unsaved, wait for its next attempt."""
    wait = min(BACK_OFF_FIRST * 2 ** min(change.attempts, 16), BACK_OFF_MOST)
    change.attempts += 1
    change.last_error = error.replace("\0", " ")
    change.not_before = timezone.now() + wait


def _concrete(model: type[Model]) -> type[Model]:
    return model._meta.concrete_model or model
