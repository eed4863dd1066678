"""Which items a changed row changes: the ways from rows of a model to the items of each document.

What is found here is a handful of marks, however many items there are: a worker expands them. Only what is
about to vanish, and with it the way to its items, is looked up at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP

from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.documents.links import (
    OwnerColumn,
    concrete,
    is_forward,
    is_symmetrical,
    key_of,
    lookup_up,
    owner_column,
    through_of,
)
from llmrec_plugin.documents.paths import Hop
from llmrec_plugin.documents.search import Followed
from llmrec_plugin.exceptions import DocumentError
from llmrec_plugin.services.coordination import missed_changes

logger = logging.getLogger("llmrec_plugin.receivers")

EVERYTHING = "*"
"""In place of a lookup: every item of the document."""
REMEMBERED = 1000
"""Models whose ways are worked out once."""
MOST_KEYS = 10_000
"""That are noted when a row goes; beyond, a worker looks at every item of the document."""


class Mark(NamedTuple):
    """Items to look at again: one, or all that a lookup finds for a related object."""

    label: str
    via: str
    key: str


@dataclass(frozen=True)
class Route:
    """A way from a changed row to the items of a document."""

    label: str
    model: type[Model]
    """Whose row it is; the instance may be one of a child model."""
    via: str = ""
    """Lookup from the item to the row; empty: the row is the item."""
    moves: bool = False
    """The row holds the key, so that saving it may take it from one item to another."""
    keys_only: bool = False
    """The items know the row by its primary key alone."""
    is_item: bool = False
    """The row is the item, or its part in the table of a parent model."""

    def mark(self, instance: Model) -> Mark:
        """Return the mark of the instance's items."""
        return Mark(self.label, self.via, str(key_of(instance, self.model)))


@dataclass(frozen=True)
class Link:
    """A way from a row that names its owner to the owner's items."""

    label: str
    via: str
    """Lookup from the item to the owner; empty: the owner is the item."""
    column: OwnerColumn
    through: bool
    """The row lies between both ends of a many-to-many relation."""
    both_ways: bool = False
    """What is linked is linked from both ends."""
    forward: bool = True
    """The relation is declared on the owner's side."""

    def mark(self, owner: object) -> Mark:
        """Return the mark of the owner's items; the owner by primary key."""
        return Mark(self.label, self.via, str(owner))


def routes_from(model: type[Model]) -> list[Route]:
    """Return all ways from rows of `model`, as items and as related objects."""
    return _routes_from(model, tuple(registry))


@lru_cache(maxsize=REMEMBERED)
def _routes_from(model: type[Model], documents: tuple[SearchDocument[Any], ...]) -> list[Route]:
    own = [document for document in documents if document.covers(model)]
    routes = [Route(document.label, document.model, is_item=True) for document in own]
    for document in documents:
        if parent := document.parent_lookup(model):
            routes.append(Route(document.label, model, parent, is_item=True))
        for way in followed_by(document):
            if part := _part_of(way.model, model):
                via = _joined(way.path.lookup(), lookup_up(way.model, part))
                routes.append(Route(document.label, part, via, way.path.hops[-1].reverse, way.keys_only))
    return routes


def links_from(model: type[Model]) -> list[Link]:
    """Return all ways from rows of `model` by the columns that name their owners."""
    return _links_from(model, tuple(registry))


@lru_cache(maxsize=REMEMBERED)
def _links_from(model: type[Model], documents: tuple[SearchDocument[Any], ...]) -> list[Link]:
    return [link for link in _links(documents) if issubclass(model, concrete(link.column.row))]


def links_through(through: type[Model]) -> list[Link]:
    """Return the ways from rows between both ends of a many-to-many relation."""
    return [link for link in links_from(through) if link.through]


def labels_of(model: type[Model]) -> list[str]:
    """Return the documents that a change of a row of `model` may concern; all, where that cannot be told."""
    try:
        found = [route.label for route in routes_from(model)] + [link.label for link in links_from(model)]
    except Exception:  # whatever models and fields of others raise
        found = []
    return sorted(set(found)) or registry.labels()


def followed_by(document: SearchDocument[Any]) -> list[Followed]:
    """Return the other models that the document's items are made of; none for a wrong declaration, which the
    system checks report, or where code of the site's own fails: other documents are followed all the same."""
    try:
        return document.followed()
    except DocumentError:
        return []
    except Exception as error:
        missed_changes.note([document.label], error, model=document.model._meta.label)
        return []


def senders_of(document: SearchDocument[Any]) -> tuple[set[type[Model]], set[type[Model]]]:
    """Return the models whose saves and deletes change items, and the models of the rows between both ends of
    a many-to-many relation."""
    followed = {document.model, *document.model._meta.get_parent_list()}
    throughs = set()
    for way in followed_by(document):
        followed |= {way.model, *way.model._meta.get_parent_list()}
        hop = way.path.hops[-1]
        if through := through_of(hop):
            throughs.add(through)
        if (column := owner_column(hop)) is not None and not column.row._meta.auto_created:
            followed.add(column.row)
        elif hop.field.many_to_many and column is None:
            logger.error("a relation of unknown making is not followed relation=%s", hop.field)
    return followed, throughs


def marks_of_vanishing(route: Route, instance: Model, *, using: str) -> Iterator[Mark]:
    """Yield marks of the items that show a row which is about to go, for nothing tells them afterwards; one
    query, in a savepoint of its own."""
    document = registry.get(route.label)
    rows: QuerySet[Any] = QuerySet(model=document.model, using=using)
    shown = rows.filter(**{f"{route.via}{LOOKUP_SEP}pk": key_of(instance, route.model)}).order_by()
    with transaction.atomic(using=using):
        yield from _limited(route.label, "", shown.values_list("pk", flat=True).distinct())


def marks_of_linked(link: Link, instance: Model, *, using: str) -> Iterator[Mark]:
    """Yield marks of the owners whose rows name the instance at their other end; one query."""
    rows: QuerySet[Any] = QuerySet(model=link.column.row, using=using)
    owners = rows.filter(**{link.column.other: instance.pk}).order_by()
    with transaction.atomic(using=using):
        yield from _limited(link.label, link.via, owners.values_list(link.column.name, flat=True))


def former_owners(links: Iterable[Link], instance: Model, *, using: str) -> Iterator[Mark]:
    """Yield marks of those whom the stored row names; one query, by primary key."""
    by_model: dict[type[Model], list[Link]] = {}
    for link in links:
        by_model.setdefault(link.column.row, []).append(link)
    for model, own in by_model.items():
        names = sorted(
            {name for link in own for name in (link.column.name, link.column.content_type) if name}
        )
        rows: QuerySet[Any] = QuerySet(model=model, using=using)
        for row in rows.filter(pk=key_of(instance, model)).order_by().values(*names)[:1]:
            for link in own:
                yield from _owner(link, row[link.column.name], row.get(link.column.content_type))


def named_owners(links: Iterable[Link], instance: Model) -> Iterator[Mark]:
    """Yield marks of those whom the instance names; without a query."""
    for link in links:
        if link.column.attribute:
            kind = getattr(instance, link.column.content_type, None) if link.column.content_type else None
            yield from _owner(link, getattr(instance, link.column.attribute), kind)


def _owner(link: Link, owner: object, content_type: Any) -> Iterator[Mark]:
    if owner is not None and (not link.column.content_type or _is_of(link.column.owner, content_type)):
        yield link.mark(owner)


def _is_of(owner: type[Model], content_type: Any) -> bool:
    """Whether the content type is that of the owner, a parent or a child."""
    from django.contrib.contenttypes.models import ContentType

    if content_type is None:
        return False
    try:
        named = ContentType.objects.get_for_id(content_type).model_class()
    except ContentType.DoesNotExist:
        return False
    return named is not None and (issubclass(named, concrete(owner)) or issubclass(owner, concrete(named)))


def _limited(label: str, via: str, keys: Any) -> list[Mark]:
    """A mark for each key; beyond MOST_KEYS one for every item of the document."""
    found = [key for key in keys[: MOST_KEYS + 1] if key is not None]
    if len(found) > MOST_KEYS:
        return [Mark(label, EVERYTHING, "")]
    return [Mark(label, via, str(key)) for key in found]


def _part_of(way: type[Model], model: type[Model]) -> type[Model] | None:
    """In which table a row of `model` is part of what the way leads to: its own, or a parent's; None: in
    none."""
    if issubclass(model, concrete(way)):
        return way
    return next(
        (parent for parent in way._meta.get_parent_list() if issubclass(model, concrete(parent))), None
    )


def _links(documents: Iterable[SearchDocument[Any]]) -> Iterator[Link]:
    for document in documents:
        for way in followed_by(document):
            hop = way.path.hops[-1]
            column = owner_column(hop)
            if column is not None:
                yield _link(document, way, hop, column)


def _link(document: SearchDocument[Any], way: Followed, hop: Hop, column: OwnerColumn) -> Link:
    return Link(
        label=document.label,
        via=_joined(way.path.lookup_before(hop), lookup_up(hop.model, column.owner)),
        column=column,
        through=bool(hop.field.many_to_many),
        both_ways=is_symmetrical(hop),
        forward=is_forward(hop),
    )


def _joined(*lookups: str) -> str:
    return LOOKUP_SEP.join(lookup for lookup in lookups if lookup)
