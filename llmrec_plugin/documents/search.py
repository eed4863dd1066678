"""SearchDocument: how the rows of one model become documents to be found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents.links import concrete, lookup_up
from llmrec_plugin.documents.paths import (
    FieldPath,
    as_scalar,
    infer_kind,
    resolve,
    resolve_relation,
    tell_once,
    values_at,
)
from llmrec_plugin.documents.progression import Progression
from llmrec_plugin.documents.signals import Signals
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.exceptions import DocumentError
from llmrec_plugin.types import AttachedIndex, FilterKind, FilterValue, PreparedItem, Scalar

M = TypeVar("M", bound=Model)

LANGUAGE = "language"
"""Filter field that every document can have."""
PASSAGE_LIMIT = 32_000
"""Characters that an encoder is given; more than any of them reads, and a bound on memory."""


class SearchDocument(Generic[M]):
    """One kind of item; inherit, set the attributes and decorate with `@register`.

    A text or filter field is a field of the model, a method or property, a path such as `brand__name`,
    or a method `prepare_<name>(obj)` of the document. Markup in text is removed.
    """

    model: type[M]
    """Any model, of this project or of a third party."""
    label: str = ""
    """Name in URLs, commands and tables; the model's name unless given."""
    text_fields: Mapping[str, float] | Sequence[str] = ()
    """What words are looked for in, with the weight of each field; the first field is the title."""
    filter_fields: Mapping[str, str] | Sequence[str] = ()
    """What can be filtered and counted: names, or {name: path}. A relation is filtered by primary key.
    "language" is the item's language, given or detected, where the model has no field of that name."""
    kinds: Mapping[str, FilterKind] = {}
    """How a filter field compares ("keyword", "number", "boolean" or "date"), where its model field does
    not tell: methods, properties, JSON values, or a number that is a mere code."""
    related: Mapping[type[Model], str | Sequence[str]] = {}
    """Other models whose changes change an item, with the lookup from the item to them: those that methods
    read. What a path of text_fields or filter_fields crosses is followed without being named."""
    attached: AttachedIndex | None = None
    """An Elasticsearch index that the site makes and fills: it gains vectors, and words are looked for in its
    own fields by its own analysers. None: an index of our own."""
    encoder: str | EncoderSpec | None = None
    """An encoder of its own; None: LLMREC["ENCODER"]."""
    encoder_options: Mapping[str, Any] | None = None
    """Options of `encoder`, or additions to LLMREC["ENCODER_OPTIONS"] where `encoder` is None."""
    language: str = ""
    """ISO 639-1 code of all items, or the path to each item's code; empty: detected."""
    date_field: str = ""
    """The model field that says how new an item is; empty: the later primary key is newer."""
    signals: Signals = Signals()
    """Filter fields by which items rank higher in any search: how new they are, whether they can be had; and
    by which a page stays mixed."""
    progression: Progression | None = None
    """What must be taken before an item, for placements that lead from step to step."""

    def __init__(self) -> None:
        self.label = self.label or str(self.model._meta.model_name)

    # what a site may override

    def get_queryset(self) -> QuerySet[M]:
        """The items that may be found, for indexing and for showing results."""
        read = [*self._text_paths.values(), *(path.as_keys() for path in self._filter_paths.values())]
        return with_relations(self.model._default_manager.all(), read)

    def prepare(self, obj: M) -> PreparedItem | None:
        """The item as it is to be found; None: it is not.

        Each shown row is asked, too, where a site overrides it: what `get_queryset` can leave out costs less
        there.
        """
        item = self.texts_of(obj)
        known: dict[str, FilterValue] = {LANGUAGE: item.language or None} if self.filters_language else {}
        filters = {
            name: known[name] if name in known else self.filter_of(obj, name) for name in self._filter_paths
        }
        return replace(item, filters=filters)

    def prepare_language(self, obj: M) -> str:
        """ISO code of the item's language; empty: to be detected."""
        path = self._language_path
        if path is None:
            return self.language
        return str(next(iter(values_at(obj, path.accessors)), ""))

    def get_title(self, obj: M) -> str:
        """What the item is called in lists: its first text field."""
        return self.text_of(obj, self.schema_fields()[0])

    def get_absolute_url(self, obj: M) -> str:
        """Empty where the model has no page."""
        return str(obj.get_absolute_url()) if hasattr(obj, "get_absolute_url") else ""

    # what the services read

    def schema_fields(self) -> tuple[str, ...]:
        """Names of the text fields."""
        return tuple(self.text_fields)

    def weights(self) -> dict[str, float]:
        """Weight by text field."""
        if isinstance(self.text_fields, Mapping):
            return {name: float(weight) for name, weight in self.text_fields.items()}
        return dict.fromkeys(self.text_fields, 1.0)

    def filter_kinds(self) -> dict[str, FilterKind]:
        """Kind by filter field, given or inferred; raises DocumentError where it is neither."""
        return dict(self._kinds)

    def encoder_spec(self) -> EncoderSpec:
        if isinstance(self.encoder, EncoderSpec):
            return self.encoder
        options = dict(self.encoder_options or {})
        if self.encoder is not None:
            return EncoderSpec(name=self.encoder, options=options)
        settings = get_settings()
        return EncoderSpec(name=settings.ENCODER, options={**settings.ENCODER_OPTIONS, **options})

    def covers(self, model: type[Model]) -> bool:
        """Rows of `model` are items: the model itself, a proxy of it or a child of it."""
        return issubclass(concrete(model), concrete(self.model))

    def parent_lookup(self, model: type[Model]) -> str:
        """Lookup from an item to its row in the table of a parent model; empty if `model` is none."""
        ancestor = concrete(model)
        if ancestor is concrete(self.model) or ancestor not in self.model._meta.get_parent_list():
            return ""
        return lookup_up(self.model, ancestor)

    def to_pk(self, key: str) -> Any | None:
        """The primary key that `key` writes out, None if it cannot be one."""
        pk = self.model._meta.pk
        if pk is None or "\x00" in key:
            return None
        try:
            value = pk.to_python(key)
            pk.run_validators(value)
        except (ValidationError, ValueError, TypeError, OverflowError):
            return None
        return value

    def in_bulk(self, keys: Sequence[str], *, using: str | None = None) -> dict[str, M]:
        """Visible items by key: one query and its prefetches; unknown and malformed keys are left out."""
        rows = self.rows_of(keys)
        return {str(obj.pk): obj for obj in (rows.using(using) if using else rows)}

    def rows_of(self, keys: Iterable[str], queryset: QuerySet[M] | None = None) -> QuerySet[M]:
        """The items of these keys within the queryset, or else all visible ones; malformed keys are left
        out."""
        pks = [pk for key in keys if (pk := self.to_pk(key)) is not None and str(pk) == key]
        return (self.get_queryset() if queryset is None else queryset).filter(pk__in=pks)

    def text_of(self, obj: M, name: str) -> str:
        """Plain text of one declared field; several values are joined in a stable order."""
        own = self.method_for(name)
        if own is not None:
            return join_texts(text_values([own(obj)]), many=False)
        path = self._text_paths[name]
        return join_texts(text_values(values_at(obj, path.accessors)), many=path.many)

    def texts_of(self, obj: M) -> PreparedItem:
        """The item's texts and language, without its filter values: what showing and reading it takes."""
        text = {name: self.text_of(obj, name) for name in self.schema_fields()}
        passage = _passage(text)
        language = self._language_of(obj, passage)
        return PreparedItem(key=str(obj.pk), text=text, passage=passage, filters={}, language=language)

    def filter_of(self, obj: M, name: str) -> FilterValue:
        """Value of one filter field; raises DocumentError, naming the field, if it is not of its kind."""
        if name == LANGUAGE and self.filters_language:
            text = {field: self.text_of(obj, field) for field in self.schema_fields()}
            return self._language_of(obj, _passage(text)) or None
        kind = self._kinds[name]
        own = self.method_for(name)
        path = self._filter_paths[name]
        if own is not None:
            value = own(obj)
            found = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
        else:
            found = values_at(obj, path.as_keys().accessors)
        scalars = {self._scalar(name, value, kind, path) for value in found if value is not None} - {None}
        if len(scalars) > 1 or path.many:
            return tuple(sorted(scalar for scalar in scalars if scalar is not None))
        return next(iter(scalars), None)

    def _scalar(self, name: str, value: Any, kind: FilterKind, path: FieldPath) -> Scalar | None:
        """None as well for what a JSON value holds of another kind: its shape is not the item's fault."""
        try:
            if path.reads_json and isinstance(value, Mapping):
                raise TypeError("a JSON object is no value")
            return as_scalar(value, kind)
        except (TypeError, ValueError) as error:
            if path.reads_json:
                tell_once(path.path, type(value).__name__)
                return None
            raise DocumentError(f'Filter field "{name}" of {self.label} is no {kind}: {error}') from error

    def method_for(self, name: str) -> Callable[[M], Any] | None:
        """The site's own `prepare_<name>`; `prepare_language` counts where the site wrote it."""
        attribute = f"prepare_{name}"
        if getattr(type(self), attribute, None) is getattr(SearchDocument, attribute, None):
            return None
        method: Callable[[M], Any] = getattr(self, attribute)
        return method

    def followed(self) -> list[Followed]:
        """Every other model that the item is made of, declared in `related` or crossed by a path, each way
        once; raises DocumentError for a declaration that does not fit."""
        return list(self._followed.values())

    @cached_property
    def _followed(self) -> dict[str, Followed]:
        ways: dict[str, Followed] = {}
        for target, paths in self.related.items():
            for path in [paths] if isinstance(paths, str) else paths:
                add_way(ways, resolve_relation(self.model, path, target), keys_only=False)
        for found in self._text_paths.values():
            for way in found.relations():
                add_way(ways, way, keys_only=False)
        for found in self._filter_paths.values():
            for way in found.relations():
                add_way(ways, way, keys_only=found.ends_in_relation and way.hops == found.hops)
        return ways

    def _language_of(self, obj: M, passage: str) -> str:
        from llmrec_plugin.analysis.languages import configured, detect_language

        given = self.prepare_language(obj).lower().replace("_", "-").partition("-")[0]
        if not given:
            return detect_language(passage)
        return configured().codes.get(given, "")

    @cached_property
    def _text_paths(self) -> dict[str, FieldPath]:
        return {name: self._path(name, path) for name, path in self.text_paths().items()}

    @cached_property
    def _filter_paths(self) -> dict[str, FieldPath]:
        return {name: self._path(name, path) for name, path in self.filter_paths().items()}

    def text_paths(self) -> dict[str, str]:
        """Path by text field, as declared."""
        return {name: name for name in self.schema_fields()}

    def filter_paths(self) -> dict[str, str]:
        """Path by filter field, as declared."""
        declared = self.filter_fields
        return dict(declared) if isinstance(declared, Mapping) else {name: name for name in declared}

    @cached_property
    def filters_language(self) -> bool:
        """Whether "language" is filtered by, and is no field of the model."""
        if self.filter_paths().get(LANGUAGE) != LANGUAGE:
            return False
        try:
            resolve(self.model, LANGUAGE)
        except DocumentError:
            return True
        return False

    def _path(self, name: str, path: str) -> FieldPath:
        if self.method_for(name) is not None or (path == LANGUAGE and self.filters_language):
            return FieldPath(path=path, hops=(), accessors=(), field=None)
        return resolve(self.model, path)

    @cached_property
    def _language_path(self) -> FieldPath | None:
        """None where `language` is a code, or nothing, rather than the name of a field."""
        if not self.language:
            return None
        try:
            return resolve(self.model, self.language)
        except DocumentError:
            return None

    @cached_property
    def _kinds(self) -> dict[str, FilterKind]:
        kinds: dict[str, FilterKind] = {}
        for name, path in self._filter_paths.items():
            known: FilterKind | None = "keyword" if name == LANGUAGE and self.filters_language else None
            kind = known or self.kinds.get(name) or self._inferred(path.path)
            if kind is None:
                raise DocumentError(
                    f'How to compare the filter field "{name}" of {self.label} is not known: '
                    f'add kinds = {{"{name}": "keyword"}} (or "number", "boolean", "date").'
                )
            kinds[name] = kind
        return kinds

    def _inferred(self, path: str) -> FilterKind | None:
        try:
            return infer_kind(resolve(self.model, path).field)
        except DocumentError:  # a name that only prepare_<name> knows
            return None


@dataclass(frozen=True)
class Followed:
    """A way from the item to another model whose changes change it."""

    model: type[Model]
    path: FieldPath
    keys_only: bool
    """Only its primary key is read: it matters when the row goes, not when it changes."""


def add_way(ways: dict[str, Followed], path: FieldPath, *, keys_only: bool) -> None:
    """Add the way to the last model of the path, unless it is known; what reads more than its key wins."""
    model = path.hops[-1].field.related_model
    known = ways.get(path.lookup())
    if model is not None and (known is None or (known.keys_only and not keys_only)):
        ways[path.lookup()] = Followed(model=model, path=path, keys_only=keys_only)


def _passage(text: Mapping[str, str]) -> str:
    return "\n".join(part for part in text.values() if part)[:PASSAGE_LIMIT]


def with_relations(queryset: QuerySet[M], paths: Iterable[FieldPath | None]) -> QuerySet[M]:
    """Fetch what the paths cross along with the rows: joins up to the first "many", prefetches from there."""
    joined: set[str] = set()
    prefetched: set[str] = set()
    for path in paths:
        hops = [*path.hops, *path.behind] if path is not None else []
        single = 0
        while single < len(hops) and not hops[single].many:
            single += 1
        if single:
            joined.add(LOOKUP_SEP.join(hop.field.name for hop in hops[:single]))
        if single < len(hops):
            prefetched.add(LOOKUP_SEP.join(hop.accessor for hop in hops))
    if joined:
        queryset = queryset.select_related(*sorted(joined))
    return queryset.prefetch_related(*sorted(prefetched)) if prefetched else queryset


def text_values(values: Iterable[object]) -> list[str]:
    """Plain text of each value that has any."""
    from llmrec_plugin.analysis.text import html_to_text

    texts = (html_to_text(str(value)).strip() for value in values if value is not None)
    return [text for text in texts if text]


def join_texts(texts: Sequence[str], *, many: bool) -> str:
    """One text; of many values each once and in alphabetical order, since the database promises none."""
    return ", ".join(sorted(set(texts))) if many else " ".join(texts)
