"""What stands in search_documents.py: names, paths, kinds and what documents say of each other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from django.core import checks
from django.core.checks import CheckMessage, register
from django.db.models import DateField

from llmrec_plugin.checks.interaction_sources import check_related, check_source
from llmrec_plugin.checks.messages import error
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import InteractionSource, SearchDocument, UserDocument, registry
from llmrec_plugin.documents.paths import infer_kind, resolve, resolve_relation
from llmrec_plugin.documents.search import LANGUAGE
from llmrec_plugin.documents.signals import Signals, signals
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.exceptions import DocumentError
from llmrec_plugin.suggest import hint as hint_at
from llmrec_plugin.suggest import nearest
from llmrec_plugin.types import AttachedIndex, FilterKind

_LABEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
SEARCH_PARAMETERS = {"q", "document", "facets", "sort", "limit", "personalize", "cursor", "explain"}
"""Of the search endpoint; a filter field of the same name could not be asked for."""
_WEIGHTED = re.compile(r"[^\s^]+(\^[0-9]+(\.[0-9]+)?)?")
_NOT_ATTACHING = {"llmrec_plugin.backends.embedded", "llmrec_plugin.backends.memory"}
_NEARLY_OURS = 0.85
"""Likeness from which a name of the site's own is rather a misspelt one of ours."""
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)*")


@register("llmrec")
def check_documents(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E010 to E019, E026, E028, E030 to E035, E037, W001 and W003."""
    documents = list(registry)
    if not documents:
        hint = "Declare one in search_documents.py of an installed app, decorated with @register."
        return [checks.Warning("No SearchDocument is registered.", hint=hint, id="llmrec_plugin.W001")]
    found: list[CheckMessage] = []
    for label, count in Counter(document.label for document in documents).items():
        if count > 1:
            rivals = [document for document in documents if document.label == label]
            names = " and ".join(type(document).__name__ for document in rivals)
            hint = f'Give one of them another label: label = "{label}-2".'
            found.append(error(10, f'{names} have the same label "{label}".', hint, type(rivals[-1])))
    for document in documents:
        for check in (
            _misspelt,
            _label,
            _text_fields,
            _filter_fields,
            _related,
            _dates_and_language,
            _signals,
            _attached,
            _progression,
        ):
            found.extend(check(document))
    found.extend(_shared_indexes(documents))
    return found


@register("llmrec")
def check_people(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E020 to E025, E036, W002, W003 and W020."""
    found: list[CheckMessage] = []
    for user_document in registry.user_documents:
        found.extend((*_misspelt(user_document), *_user_document(user_document)))
    for source in registry.interaction_sources:
        found.extend((*_misspelt(source), *check_source(source)))
    for label, count in Counter(source.label for source in registry.interaction_sources).items():
        if count > 1:
            hint = "Give each a label of its own: their events would overwrite each other."
            found.append(error(25, f'{count} interaction sources have the label "{label}".', hint))
    return found


def _misspelt(
    declared: SearchDocument[Any] | UserDocument[Any] | InteractionSource[Any],
) -> Iterator[CheckMessage]:
    """A name that is nearly one of ours would be ignored in silence."""
    owner = type(declared)
    (base,) = (one for one in (SearchDocument, UserDocument, InteractionSource) if isinstance(declared, one))
    known = {name for one in base.__mro__ for name in vars(one)} | base.__annotations__.keys()
    for name in vars(owner).keys() - known:
        near = nearest(name, known, likeness=_NEARLY_OURS)
        if near is not None and not name.startswith("_"):
            message = f'"{name}" means nothing here. Did you mean "{near}"?'
            hint = f"Write {near}, or give it a name that is less like it."
            yield checks.Warning(message, hint=hint, obj=owner, id="llmrec_plugin.W003")


def _label(document: SearchDocument[Any]) -> Iterator[CheckMessage]:
    if not _LABEL.fullmatch(document.label):
        hint = "It stands in URLs: lower-case letters, digits, hyphens and underscores, at most 100."
        yield error(11, f'The label "{document.label}" cannot be used.', hint, type(document))


def _text_fields(document: SearchDocument[Any]) -> Iterator[CheckMessage]:
    owner = type(document)
    if isinstance(document.text_fields, str) or not document.text_fields:
        hint = 'Name at least one: text_fields = {"title": 3, "description": 1}.'
        yield error(12, "text_fields names no field.", hint, owner)
        return
    yield from _paths(document, document.text_fields, 13, "text_fields", paths=document.text_paths())
    weights = document.text_fields.values() if hasattr(document.text_fields, "values") else ()
    for weight in weights:
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight > 0:
            yield error(14, f"The weight {weight!r} in text_fields is no number above 0.", "Use 1.", owner)


def _filter_fields(document: SearchDocument[Any]) -> Iterator[CheckMessage]:
    owner = type(document)
    if isinstance(document.filter_fields, str):
        hint = f'Write a list: filter_fields = ["{document.filter_fields}"].'
        yield error(15, "filter_fields is one string.", hint, owner)
        return
    paths = document.filter_paths()
    named = [name for name in paths if name != LANGUAGE or not document.filters_language]
    yield from _paths(document, named, 15, "filter_fields", paths=paths)
    if "filter_kinds" in vars(owner) and not callable(vars(owner)["filter_kinds"]):
        hint = 'Name the kinds in `kinds = {"rating": "number"}`.'
        yield error(16, "filter_kinds is a method and must not be replaced.", hint, owner)
        return
    for name in sorted(SEARCH_PARAMETERS.intersection(paths)):
        hint = f'Give it another name: filter_fields = {{"{name}_": "{paths[name]}"}}.'
        yield error(28, f'The filter field "{name}" is named like a parameter of the search.', hint, owner)
    for name, kind in document.kinds.items():
        if kind not in get_args(FilterKind):
            yield error(16, f'"{kind}" is no kind.', f"Use one of {', '.join(get_args(FilterKind))}.", owner)
        if name not in paths:
            yield error(16, f'kinds names "{name}", which is no filter field.', "Remove it.", owner)
    for name, path in paths.items():
        unknown = name not in document.kinds and _kind_of(document, path) is None
        if unknown and (_resolves(document, path) or document.method_for(name) is not None):
            hint = f'Add kinds = {{"{name}": "keyword"}} (or "number", "boolean", "date").'
            yield error(16, f'The filter field "{name}" has no kind that its model tells.', hint, owner)


def _kind_of(document: SearchDocument[Any], path: str) -> FilterKind | None:
    return infer_kind(resolve(document.model, path).field) if _resolves(document, path) else None


def _resolves(document: SearchDocument[Any], path: str) -> bool:
    try:
        resolve(document.model, path)
    except DocumentError:
        return False
    return True


def _paths(
    owner: SearchDocument[Any] | UserDocument[Any],
    names: Iterable[str],
    number: int,
    attribute: str,
    *,
    paths: dict[str, str] | None = None,
) -> Iterator[CheckMessage]:
    for name in names:
        if owner.method_for(name) is not None:
            continue
        try:
            resolve(owner.model, (paths or {}).get(name, name))
        except DocumentError as problem:
            hint = f"Mend {attribute}, or write a method prepare_{name}(self, obj)."
            yield error(number, f"{attribute}: {problem}", hint, type(owner))


def _related(document: SearchDocument[Any]) -> Iterator[CheckMessage]:
    return check_related(document, 17)


def _dates_and_language(document: SearchDocument[Any]) -> Iterator[CheckMessage]:
    owner = type(document)
    if document.date_field:
        try:
            path = resolve(document.model, document.date_field)
        except DocumentError as problem:
            yield error(18, f"date_field: {problem}", "Name a date or datetime field.", owner)
        else:
            if path.hops or not isinstance(path.field, DateField):
                message = f'date_field "{document.date_field}" is no date or datetime of the model itself.'
                yield error(18, message, "Name such a field, or leave it empty.", owner)
    language = document.language
    if language and not _LANGUAGE.fullmatch(language) and not _resolves(document, language):
        hint = 'Use an ISO 639-1 code such as "en", or the name of a field; empty: it is detected.'
        yield error(19, f'language "{language}" is neither a code nor a field.', hint, owner)
    encoder: object = document.encoder
    if not isinstance(encoder, str | EncoderSpec | None):
        yield error(26, "encoder is neither a name nor an EncoderSpec.", "Name a model.", owner)


def _signals(document: SearchDocument[Any]) -> Iterator[CheckMessage]:
    try:
        kinds = document.filter_kinds()
    except (DocumentError, TypeError):
        return  # E013 to E016 say so
    declared: object = document.signals
    if not isinstance(declared, Signals):
        yield error(37, "signals is no Signals.", 'Write signals = Signals(date="released").', type(document))
        return
    named: Mapping[str, object] = declared.fields
    for name, field in named.items():
        if name not in signals:
            message = f'signals: there is no signal "{name}". {hint_at(name, signals.names())}'
            cure = "Use one of these names, or declare it with @register_signal in search_documents.py."
            yield error(37, message, cure, type(document))
        elif not isinstance(field, str):
            cure = f'Write signals = Signals({name}="<filter field>").'
            yield error(37, f"signals: {name} is {field!r}, no name of a field.", cure, type(document))
        elif kinds.get(field) != (kind := signals.get(name).kind):
            found = f"is a {kinds[field]}" if field in kinds else "is none of filter_fields"
            fields = [filter_field for filter_field in kinds if kinds[filter_field] == kind]
            cure = f"Name a filter field of kind {kind}, or leave it empty. {hint_at(field, fields)}"
            yield error(37, f'signals: {name} "{field}" {found}.', cure, type(document))


def _attached(document: SearchDocument[Any]) -> Iterator[CheckMessage]:
    owner, attached = type(document), document.attached
    if attached is None:
        return
    if not isinstance(attached, AttachedIndex) or not isinstance(attached.index, str) or not attached.index:
        hint = 'Write attached = AttachedIndex("products", text_fields=["title^3", "description"]).'
        yield error(30, "attached names no index.", hint, owner)
        return
    if any(character in attached.index for character in "*,?"):
        yield error(30, f'attached names "{attached.index}", a pattern.', "Name one index or alias.", owner)
    if get_settings().BACKEND in _NOT_ATTACHING:
        hint = 'Set LLMREC["BACKEND"] = "llmrec_plugin.backends.elasticsearch", or remove `attached`.'
        message = f'"{attached.index}" is an index of Elasticsearch, and LLMREC["BACKEND"] is another engine.'
        yield error(31, message, hint, owner)
    if isinstance(attached.text_fields, str):
        hint = f'Write a list: text_fields=["{attached.text_fields}"].'
        yield error(32, "AttachedIndex.text_fields is one string.", hint, owner)
        return
    for text in attached.text_fields:
        if not isinstance(text, str) or not _WEIGHTED.fullmatch(text):
            hint = 'Name a field of the index, with its weight as in "title^3".'
            yield error(32, f"AttachedIndex.text_fields names {text!r}.", hint, owner)
    for name in attached.filters:
        if not isinstance(document.filter_fields, str) and name not in document.filter_paths():
            hint = "Its keys are names in filter_fields, its values fields of the index."
            yield error(33, f'AttachedIndex.filters names "{name}", which is no filter field.', hint, owner)


def _progression(document: SearchDocument[Any]) -> Iterator[CheckMessage]:
    progression = document.progression
    if progression is None:
        return
    owner = type(document)
    if progression.requires:
        try:
            resolve_relation(document.model, progression.requires, document.model)
        except DocumentError as problem:
            hint = f"Name the relation from {document.model.__name__} to those that come before it."
            yield error(35, f"progression: {problem}", hint, owner)
    for name in filter(None, (progression.level, progression.within)):
        try:
            path = resolve(document.model, name)
        except DocumentError as problem:
            yield error(35, f"progression: {problem}", "Mend progression.", owner)
        else:
            if path.field is None:
                yield error(
                    35,
                    f'progression: "{name}" is no field of a model.',
                    "It is asked of the database.",
                    owner,
                )


def _shared_indexes(documents: Iterable[SearchDocument[Any]]) -> Iterator[CheckMessage]:
    """Where neither document says which `_id`s are its own, each takes the other's items for its own."""
    first: dict[str, SearchDocument[Any]] = {}
    for document in documents:
        attached = document.attached
        if not isinstance(attached, AttachedIndex) or attached.key is not AttachedIndex("").key:
            continue
        other = first.setdefault(attached.index, document)
        if not document.covers(other.model):
            names = f"{type(other).__name__} and {type(document).__name__}"
            hint = "Give AttachedIndex a key= that returns None for an `_id` of the other, and an id=."
            yield error(34, f'{names} are attached to one index, "{attached.index}".', hint, type(document))


def _user_document(document: UserDocument[Any]) -> Iterator[CheckMessage]:
    owner = type(document)
    if isinstance(document.text_fields, str) or not document.text_fields:
        yield error(20, "text_fields names no field.", 'Write a list: text_fields = ["interests"].', owner)
    else:
        yield from _paths(document, document.text_fields, 20, "text_fields")
    try:
        resolve(document.model, document.user_field)
    except DocumentError as problem:
        hint = 'Name the lookup from the model to the user\'s key, such as "user_id".'
        yield error(21, f"user_field: {problem}", hint, owner)
    if document.level_field:
        yield from _paths(document, [document.level_field], 36, "level_field")
    own_key = owner.get_user_key is not UserDocument.get_user_key
    if own_key and owner.find is UserDocument.find and document.user_field == UserDocument.user_field:
        hint = 'Set user_field = "user_id" instead, or override find(), too.'
        message = "get_user_key() is overridden, but the way back from a key to its row is not."
        yield checks.Warning(message, hint=hint, obj=owner, id="llmrec_plugin.W002")
