"""Marks rows of the site that tell events, such as its orders, when they or what they refer to are saved or
deleted.

The marks are part of the host's transaction; whoever LLMREC["TASKS"] names brings the events up to date after
it. No handler can fail the host's save: what ours cannot do is logged, and found by the next audit.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import transaction
from django.db.models import ManyToManyField, Model, signals

from llmrec_plugin.documents import InteractionSource, registry
from llmrec_plugin.documents.paths import Hop
from llmrec_plugin.exceptions import DocumentError
from llmrec_plugin.logs import origin
from llmrec_plugin.models import SourceChange
from llmrec_plugin.receivers.dispatch import have_done
from llmrec_plugin.receivers.documents import connect_handler, model_family
from llmrec_plugin.services.interactions import source_changes
from llmrec_plugin.services.interactions.source_changes import SourceRoute

logger = logging.getLogger("llmrec_plugin.receivers")
_MOVED = "_llmrec_moved_sources"
"""Attribute of an instance between `pre_save` and `post_save`: marks of what it belonged to before. They wait
for the row: in autocommit whoever takes a mark that is written before would read the former state."""


def follow_source(source: InteractionSource[Any]) -> None:
    """Connect all models that the rows of the source are made of."""
    try:
        ways = source.followed()
    except DocumentError:  # the system checks report it
        ways = []
    for followed in (source.model, *(way.model for way in ways)):
        for model in model_family(followed):
            for signal, handler in (
                (signals.pre_save, before_save),
                (signals.post_save, after_save),
                (signals.pre_delete, before_delete),
                (signals.post_delete, after_delete),
            ):
                connect_handler(signal, handler, model, "sources")
    for way in ways:
        for hop in way.path.hops:
            if hop.field.many_to_many:
                through = _through(hop)
                connect_handler(signals.m2m_changed, membership_changed, through, "sources")
                if not through._meta.auto_created:
                    connect_handler(signals.post_save, link_changed, through, "sources")
                    connect_handler(signals.post_delete, link_changed, through, "sources")


@contextmanager
def _harmless(sender: type[Model]) -> Iterator[None]:
    """Whatever fails within fails nothing else; statements that the database refuses end no transaction."""
    try:
        yield
    except Exception as error:
        logger.error(
            "events are not followed model=%s error=%s at=%s",
            sender._meta.label, type(error).__name__, origin(error),
        )  # fmt: skip


def _append(changes: Iterable[SourceChange], using: str) -> None:
    waiting = list(changes)
    if waiting:
        with transaction.atomic(using=source_changes.alias()):  # of PostgreSQL, a savepoint is all it needs
            source_changes.append(waiting, using=using)


def before_save(sender: type[Model], *, instance: Model, raw: bool, using: str, **kwargs: object) -> None:
    """A row that names another may be about to move: what it belonged to changes, too."""
    if raw or instance._state.adding or instance.pk is None:
        return
    with _harmless(sender):
        routes = [route for route in source_changes.routes_from(sender) if route.moves]
        if routes:
            setattr(instance, _MOVED, [change for r in routes for change in _affected(r, instance.pk, using)])


def after_save(sender: type[Model], *, instance: Model, created: bool, using: str, **kwargs: object) -> None:
    """A related object that is new belongs to no row yet, unless it names the row itself."""
    with _harmless(sender):
        changes: list[SourceChange] = instance.__dict__.pop(_MOVED, [])
        changes += [
            route.change(instance.pk)
            for route in source_changes.routes_from(sender)
            if not route.via or route.moves or not (created or route.keys_only)
        ]
        _append(changes, using)


def before_delete(sender: type[Model], *, instance: Model, using: str, **kwargs: object) -> None:
    """Once a related object is gone, nothing tells any more which rows it belonged to."""
    with _harmless(sender):
        routes = [r for r in source_changes.routes_from(sender) if r.via and not r.cascades]
        _append([change for route in routes for change in _affected(route, instance.pk, using)], using)


def after_delete(sender: type[Model], *, instance: Model, using: str, **kwargs: object) -> None:
    with _harmless(sender):
        own = [route for route in source_changes.routes_from(sender) if not route.via]
        _append([route.change(instance.pk) for route in own], using)


def membership_changed(
    sender: type[Model],
    *,
    instance: Model,
    action: str,
    reverse: bool,
    pk_set: set[Any] | None,
    using: str,
    **kwargs: object,
) -> None:
    """`order.tags.add(…)`, or the same from the other side."""
    if action not in ("post_add", "post_remove", "pre_clear"):
        return
    with _harmless(sender):
        changes: list[SourceChange] = []
        for source, before, hop in _crossings(sender):
            itself = _is_forward(hop) is not reverse  # the instance is on the rows' side of this hop
            owners: Iterable[object] = [instance.pk] if itself else pk_set or ()
            if not itself and action == "pre_clear":
                linked = hop.model._base_manager.using(using).filter(**{f"{hop.field.name}__pk": instance.pk})
                owners = linked.values_list("pk", flat=True)
            changes += [SourceRoute(source, before).change(owner) for owner in owners]
        _append(changes, using)


def link_changed(sender: type[Model], *, instance: Model, using: str, **kwargs: object) -> None:
    """A row of the site's own "through" model, saved or deleted by itself."""
    with _harmless(sender):
        changes = []
        for source, before, hop in _crossings(sender):
            name = (
                hop.field.m2m_field_name() if _is_forward(hop) else hop.field.field.m2m_reverse_field_name()
            )
            owner = instance.serializable_value(name)
            if owner is not None:
                changes.append(SourceRoute(source, before).change(owner))
        _append(changes, using)


def dispatch_sources(**kwargs: object) -> None:
    """Have events brought up to date, where LLMREC["TASKS"] says."""
    have_done("follow_sources")


def _affected(route: SourceRoute, pk: object, using: str) -> list[SourceChange]:
    own = SourceRoute(route.source)
    return [own.change(key) for key in source_changes.rows_through(route.source, route.via, pk, using=using)]


def _crossings(through: type[Model]) -> Iterator[tuple[InteractionSource[Any], str, Hop]]:
    """Where sources cross that many-to-many relation, with the lookup to where it starts; each way once."""
    for source in registry.interaction_sources:
        with suppress(DocumentError):  # as above
            for way in source.followed():
                hop = way.path.hops[-1]
                if hop.field.many_to_many and _through(hop) is through:
                    yield source, way.path.lookup_before(hop), hop


def _is_forward(hop: Hop) -> bool:
    return isinstance(hop.field, ManyToManyField)


def _through(hop: Hop) -> type[Model]:
    through: type[Model] = hop.field.remote_field.through if _is_forward(hop) else hop.field.through
    return through
