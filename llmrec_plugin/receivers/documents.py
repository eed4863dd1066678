"""Marks items when their rows, or rows that their texts are taken from, are saved, moved or deleted.

Nothing here reads an item or calls an engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.db.models import ManyToManyField, Model, signals

from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.documents.paths import FieldPath, Hop
from llmrec_plugin.exceptions import DocumentError
from llmrec_plugin.services.indexing import outbox


def follow_document(document: SearchDocument[Any]) -> None:
    try:
        ways = document.followed()
    except DocumentError:  # the system checks report it
        ways = []
    others = [way.model for way in ways]
    throughs = {_through(hop) for way in ways for hop in way.path.hops if _is_m2m(hop)}
    for followed in [document.model, *document.model._meta.get_parent_list(), *others]:
        for model in model_family(followed):
            connect_handler(signals.pre_save, before_save, model)
            connect_handler(signals.post_save, after_save, model)
            connect_handler(signals.pre_delete, before_delete, model)
            connect_handler(signals.post_delete, after_delete, model)
    for through in throughs:
        connect_handler(signals.m2m_changed, membership_changed, through)
        if not through._meta.auto_created:
            connect_handler(signals.post_save, link_changed, through)
            connect_handler(signals.post_delete, link_changed, through)


def before_save(sender: type[Model], *, instance: Model, raw: bool, using: str, **kwargs: object) -> None:
    """A row that names its item may be about to move to another: the former one changes, too."""
    if raw or instance._state.adding or instance.pk is None:
        return
    for route in outbox.routes_from(sender):
        if route.moves:
            _mark_affected(route, instance.pk, using)


def after_save(sender: type[Model], *, instance: Model, created: bool, using: str, **kwargs: object) -> None:
    """A related object that is new is part of no item yet, unless it names the item itself."""
    routes = [
        route
        for route in outbox.routes_from(sender)
        if not route.via or route.moves or not (created or route.keys_only)
    ]
    outbox.append((route.entry(instance.pk) for route in routes), using=using)


def before_delete(sender: type[Model], *, instance: Model, using: str, **kwargs: object) -> None:
    """Once a related object is gone, nothing tells any more which items it was part of."""
    for route in outbox.routes_from(sender):
        if route.via:
            _mark_affected(route, instance.pk, using)


def after_delete(sender: type[Model], *, instance: Model, using: str, **kwargs: object) -> None:
    own = [route for route in outbox.routes_from(sender) if not route.via]
    outbox.append((route.entry(instance.pk) for route in own), using=using)


def _mark_affected(route: outbox.Route, pk: object, using: str) -> None:
    item = outbox.Route(route.label)
    keys = outbox.affected_keys(route.label, route.via, pk, using=using)
    outbox.append((item.entry(key) for key in keys), using=using)


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
    """`item.categories.add(…)`, or the same from the other side."""
    for document, path, hop in _crossings(sender):
        itself = _is_forward(hop) is not reverse  # the instance is on the items' side of this hop
        owners: Iterable[object] = ()
        if action in ("post_add", "post_remove"):
            owners = [instance.pk] if itself else pk_set or ()
        elif action == "post_clear" and itself:
            owners = [instance.pk]
        elif action == "pre_clear" and not itself:
            linked = hop.model._base_manager.using(using).filter(**{f"{hop.field.name}__pk": instance.pk})
            owners = linked.values_list("pk", flat=True)
        _mark_owners(document, path, hop, owners, using)


def link_changed(sender: type[Model], *, instance: Model, using: str, **kwargs: object) -> None:
    """A row of the site's own "through" model, saved or deleted by itself."""
    for document, path, hop in _crossings(sender):
        name = hop.field.m2m_field_name() if _is_forward(hop) else hop.field.field.m2m_reverse_field_name()
        owner = instance.serializable_value(name)
        _mark_owners(document, path, hop, [owner] if owner is not None else [], using)


def _crossings(through: type[Model]) -> Iterator[tuple[SearchDocument[Any], FieldPath, Hop]]:
    """Where documents cross that many-to-many relation; each way once."""
    for document in registry:
        with suppress(DocumentError):  # as above
            for way in document.followed():
                hop = way.path.hops[-1]
                if _is_m2m(hop) and _through(hop) is through:
                    yield document, way.path, hop


def _mark_owners(
    document: SearchDocument[Any], path: FieldPath, hop: Hop, owners: Iterable[object], using: str
) -> None:
    route = outbox.Route(document.label, path.lookup_before(hop))
    outbox.append((route.entry(owner) for owner in owners), using=using)


def _is_m2m(hop: Hop) -> bool:
    return bool(hop.field.many_to_many)


def _is_forward(hop: Hop) -> bool:
    return isinstance(hop.field, ManyToManyField)


def _through(hop: Hop) -> type[Model]:
    through: type[Model] = hop.field.remote_field.through if _is_forward(hop) else hop.field.through
    return through


def connect_handler(signal: Any, handler: Callable[..., None], model: type[Model], prefix: str = "") -> None:
    uid = f"llmrec_plugin:{prefix}:{handler.__name__}:{model._meta.label_lower}"
    signal.connect(handler, sender=model, dispatch_uid=uid, weak=False)


def model_family(model: type[Model]) -> list[type[Model]]:
    """The model with its proxies and children: each sends its signals under its own name."""
    concrete = model._meta.concrete_model or model
    return [known for known in apps.get_models(include_auto_created=True) if issubclass(known, concrete)]
