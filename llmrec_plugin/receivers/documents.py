"""Marks items when their rows, or rows that their texts are taken from, are saved, moved or deleted.

Nothing here reads an item, calls an engine or writes before the row is written: what is known before a change
alone waits on the instance for its end. One statement writes all marks of a change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.apps import apps
from django.db.models import NOT_PROVIDED, Model, signals

from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.documents.links import key_of
from llmrec_plugin.receivers.harmless import harmless
from llmrec_plugin.services.indexing import routes
from llmrec_plugin.services.indexing.marks import leave
from llmrec_plugin.services.indexing.routes import Link, Mark

logger = logging.getLogger("llmrec_plugin.receivers")

WAITING = "_llmrec_marks"
"""Attribute of an instance, between the signals before and after a change, with the marks that wait."""


def follow_document(document: SearchDocument[Any]) -> None:
    """Connect the handlers to every model that the document's items are made of."""
    try:
        followed, throughs = routes.senders_of(document)
    except Exception as error:  # a site with a model of unknown making starts all the same
        logger.error("a document is not followed document=%s error=%s", document.label, type(error).__name__)
        return
    for model in {member for ancestor in followed for member in model_family(ancestor)}:
        connect_handler(signals.pre_save, before_save, model)
        connect_handler(signals.post_save, after_save, model)
        connect_handler(signals.pre_delete, before_delete, model)
        connect_handler(signals.post_delete, after_delete, model)
    for through in throughs:
        connect_handler(signals.m2m_changed, membership_changed, through)


@harmless
def before_save(
    sender: type[Model],
    *,
    instance: Model,
    raw: bool,
    using: str,
    update_fields: frozenset[str] | None,
    **kwargs: object,
) -> None:
    """A row that names its owner may be about to move to another: the former one changes, too."""
    if _is_new(instance, raw=raw):
        return
    links = [link for link in routes.links_from(sender) if link.through or _writes(link, update_fields)]
    _keep(instance, routes.former_owners(links, instance, using=using))


@harmless
def after_save(sender: type[Model], *, instance: Model, created: bool, using: str, **kwargs: object) -> None:
    """A related object that is new is part of no item yet, unless it names the item itself, or is a part of
    a row that was there before."""
    is_new = created and not instance._meta.parents
    found = [
        route.mark(instance)
        for route in routes.routes_from(sender)
        if route.is_item or route.moves or not (is_new or route.keys_only)
    ]
    throughs = [link for link in routes.links_from(sender) if link.through]
    leave([*_kept(instance), *found, *routes.named_owners(throughs, instance)], using=using)


@harmless
def before_delete(
    sender: type[Model], *, instance: Model, using: str, origin: object = None, **kwargs: object
) -> None:
    """Once a related object is gone, nothing tells any more which items it was part of."""
    links = routes.links_from(sender)
    _keep(instance, routes.named_owners(links, instance))
    if origin is instance:  # the site's own, with values that need not be those of the row
        _keep(instance, routes.former_owners(links, instance, using=using))
    for route in routes.routes_from(sender):
        if not route.is_item and not route.moves:
            _keep(instance, routes.marks_of_vanishing(route, instance, using=using))


@harmless
def after_delete(sender: type[Model], *, instance: Model, using: str, **kwargs: object) -> None:
    """The row is gone, and with it the item that it was."""
    own = [route.mark(instance) for route in routes.routes_from(sender) if route.is_item and not route.via]
    leave([*_kept(instance), *own], using=using)


@harmless
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
    for link in routes.links_through(sender):
        _keep(instance, _members(link, instance, action, reverse=reverse, pk_set=pk_set, using=using))
    if action.startswith("post_"):
        leave(_kept(instance), using=using)


def _members(
    link: Link, instance: Model, action: str, *, reverse: bool, pk_set: set[Any] | None, using: str
) -> Iterator[Mark]:
    """Those at the owners' end of the link that gain or lose something."""
    itself = link.forward is not reverse  # the instance is at the owners' end
    if itself and action in ("post_add", "post_remove", "post_clear"):
        yield link.mark(key_of(instance, link.column.owner))
    if itself and not link.both_ways:
        return
    if action in ("post_add", "post_remove"):
        yield from (link.mark(key) for key in pk_set or ())
    elif action == "pre_clear" and link.column.other:
        yield from routes.marks_of_linked(link, instance, using=using)


def _is_new(instance: Model, *, raw: bool) -> bool:
    """Whether the row cannot be there yet. One that is made with the key of a row that is there replaces it,
    unless the key has a default: then Django inserts."""
    if instance.pk is None:
        return True
    pk = instance._meta.pk
    return instance._state.adding and not raw and pk is not None and pk.default is not NOT_PROVIDED


def _writes(link: Link, update_fields: Iterable[str] | None) -> bool:
    """Whether a save of these fields alone writes the columns of the link."""
    if update_fields is None:
        return True
    opts = link.column.row._meta
    names = {field.name for field in opts.concrete_fields if field.attname in _attributes(link)}
    return not names or bool(names & set(update_fields))


def _attributes(link: Link) -> set[str]:
    return {name for name in (link.column.attribute, link.column.content_type) if name}


def _keep(instance: Model, marks: Iterable[Mark]) -> None:
    found = list(marks)
    if found:
        instance.__dict__.setdefault(WAITING, []).extend(found)


def _kept(instance: Model) -> list[Mark]:
    kept: list[Mark] = instance.__dict__.pop(WAITING, [])
    return kept


def connect_handler(signal: Any, handler: Callable[..., None], model: type[Model], prefix: str = "") -> None:
    """Have the handler called once for each signal of the model, however often this is done."""
    uid = f"llmrec_plugin:{prefix}:{handler.__name__}:{model._meta.label_lower}"
    signal.connect(handler, sender=model, dispatch_uid=uid, weak=False)


def model_family(model: type[Model]) -> list[type[Model]]:
    """The model with its proxies and children: each sends its signals under its own name."""
    concrete = model._meta.concrete_model or model
    return [known for known in apps.get_models(include_auto_created=True) if issubclass(known, concrete)]
