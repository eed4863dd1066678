"""What stands in an InteractionSource: names, paths, kinds, and whether all that it reads is followed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage
from django.db.models import ManyToManyField

from llmrec_plugin.checks.messages import error, warning
from llmrec_plugin.documents import InteractionSource, SearchDocument, registry
from llmrec_plugin.documents.paths import resolve, resolve_relation
from llmrec_plugin.event_kinds import event_kinds, unknown_kind
from llmrec_plugin.exceptions import DocumentError
from llmrec_plugin.suggest import hint


def check_source(source: InteractionSource[Any]) -> Iterator[CheckMessage]:
    """Yield what is wrong with one declaration."""
    owner = type(source)
    if source.document not in registry.labels():
        cure = hint(source.document, registry.labels())
        yield error(22, f'document "{source.document}" is not registered.', cure, owner)
    for kind in source.event_kinds():
        if kind not in event_kinds:
            cure = f"{unknown_kind(kind)} A site declares its own with register_event_kind."
            yield error(23, f'kind "{kind}" is unknown.', cure, owner)
    for name in source.PATHS:
        path = getattr(source, name)
        if not path and name not in source.OPTIONAL_PATHS:
            yield error(24, f"{name} is empty.", f'Name a path: {name} = "…".', owner)
        elif path:
            try:
                resolve(source.model, path)
            except DocumentError as problem:
                yield error(24, f"{name}: {problem}", f"Mend {name}.", owner)
    yield from check_related(source, 24)
    yield from _unfollowed(source)


def check_related(
    declared: SearchDocument[Any] | InteractionSource[Any], number: int
) -> Iterator[CheckMessage]:
    """Yield what is wrong with the lookups of `related`, as the error of that number."""
    for target, paths in declared.related.items():
        for path in [paths] if isinstance(paths, str) else paths:
            try:
                resolve_relation(declared.model, path, target)
            except DocumentError as problem:
                cure = f"Name the lookup from {declared.model.__name__} to {target.__name__}."
                yield error(number, f"related: {problem}", cure, type(declared))


def _unfollowed(source: InteractionSource[Any]) -> Iterator[CheckMessage]:
    """A table that the queryset joins, and whose changes nobody tells the source."""
    try:
        followed = {source.model, *(way.model for way in source.followed())}
        query = source.get_queryset().query
    except Exception:  # a wrong path is reported above; what else a queryset may need is not here yet
        return
    known = {model._meta.db_table for model in followed}
    known |= {
        through._meta.db_table
        for way in source.followed()
        for hop in way.path.hops
        if isinstance(hop.field, ManyToManyField) and (through := hop.field.remote_field.through)
    }
    tables = {model._meta.db_table: model.__name__ for model in apps.get_models(include_auto_created=True)}
    joined = {join.table_name for alias, join in query.alias_map.items() if query.alias_refcount.get(alias)}
    for table in sorted(joined - known):
        name = tables.get(table, table)
        message = f"get_queryset() reads {name}, whose changes change no event before the next audit."
        hint = f'Add it: related = {{{name}: "<lookup from {source.model.__name__} to it>"}}.'
        yield warning(20, message, hint, type(source))
