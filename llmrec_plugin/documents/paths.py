"""Paths from an item to the values a document reads: `brand__name`, `categories`, a method or a property.

A path is checked once against the model, then walked over many items.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist
from django.db import models
from django.db.models.constants import LOOKUP_SEP
from django.db.models.manager import BaseManager
from django.utils import timezone

from llmrec_plugin.exceptions import DocumentError
from llmrec_plugin.suggest import hint
from llmrec_plugin.types import FilterKind, Scalar

logger = logging.getLogger(__name__)


class JsonKey(str):
    """A part of a path that names a key within a JSON value, never an attribute."""

    __slots__ = ()


@dataclass(frozen=True)
class Hop:
    """One relation on the way."""

    model: type[models.Model]
    """Where the hop starts."""
    field: Any
    """The relation: a forward field or a reverse relation."""
    accessor: str

    @property
    def many(self) -> bool:
        return bool(self.field.one_to_many or self.field.many_to_many)

    @property
    def reverse(self) -> bool:
        """The key lies in the other table, so saving a row there may move it from item to item."""
        return bool(self.field.one_to_many or (self.field.one_to_one and not self.field.concrete))

    @property
    def cascades(self) -> bool:
        """Django deletes the row on this side, with its signals, along with that on the other."""
        remote = getattr(self.field, "remote_field", None)
        return bool(self.field.concrete) and getattr(remote, "on_delete", None) is models.CASCADE


@dataclass(frozen=True)
class FieldPath:
    """A path that was found to fit its model."""

    path: str
    hops: tuple[Hop, ...]
    """Every relation that the path crosses or ends in."""
    accessors: tuple[str, ...]
    field: Any | None
    """The model field it ends in; None for a method, a property or a key of a JSON value."""
    behind: tuple[Hop, ...] = ()
    """Relations that the attribute at its end reads by itself, as translated fields do."""

    @property
    def many(self) -> bool:
        return any(hop.many for hop in self.hops)

    @property
    def reads_json(self) -> bool:
        """It ends in a JSON value, or in a key within one, whose shape nobody promises."""
        return isinstance(self.field, models.JSONField) or any(
            isinstance(accessor, JsonKey) for accessor in self.accessors
        )

    @property
    def ends_in_relation(self) -> bool:
        return self.field is not None and bool(self.field.is_relation)

    @property
    def ends_in_own_key(self) -> bool:
        """It ends in a foreign key, whose value is at hand without the other row."""
        return (
            self.ends_in_relation
            and self.hops[-1].field is self.field
            and bool(self.field.concrete and not self.field.many_to_many)
        )

    def lookup(self) -> str:
        """The relations of the path in the words of a queryset filter."""
        return LOOKUP_SEP.join(hop.field.name for hop in self.hops)

    def relations(self) -> list[FieldPath]:
        """The ways to each model on the path, the nearest first."""
        hops = (*self.hops, *self.behind)
        return [
            FieldPath(
                path=self.path,
                hops=hops[:length],
                accessors=tuple(hop.accessor for hop in hops[:length]),
                field=hops[length - 1].field,
            )
            for length in range(1, len(hops) + 1)
        ]

    def lookup_before(self, hop: Hop) -> str:
        """As `lookup`, up to where the hop starts; empty if that is the item itself."""
        return LOOKUP_SEP.join(before.field.name for before in self.hops[: self.hops.index(hop)])

    def as_keys(self) -> FieldPath:
        """The same path, read as primary keys: nothing is fetched for a foreign key at its end."""
        if self.field is None or not self.ends_in_own_key:
            return self
        return replace(self, hops=self.hops[:-1], accessors=(*self.accessors[:-1], self.field.attname))


def resolve(model: type[models.Model], path: str) -> FieldPath:
    """Fit `path` to `model`; raises DocumentError that names the nearest field for an unknown part."""
    hops: list[Hop] = []
    accessors: list[str] = []
    current: type[models.Model] | None = model
    field: Any | None = None
    behind: tuple[Hop, ...] = ()
    for part in [path] if path.startswith(LOOKUP_SEP) else path.split(LOOKUP_SEP):  # "__str__" is one name
        if current is None:  # beyond a plain value: a key of a JSON value, an attribute of an object
            if field is not None and not isinstance(field, models.JSONField):
                raise DocumentError(f'"{path}" goes on after "{accessors[-1]}", which is a plain field.')
            is_json = field is not None or (accessors and isinstance(accessors[-1], JsonKey))
            accessors.append(JsonKey(part) if is_json else part)
            field = None
            continue
        field = _field_of(current, part)
        if field is None:
            if not hasattr(current, part):
                raise DocumentError(_unknown(current, part, path))
            behind = _translations(current, part)
            accessors.append(part)
            current = None
        elif field.is_relation:
            accessor = field.get_accessor_name() if _is_reverse(field) else field.name
            hops.append(Hop(model=current, field=field, accessor=accessor))
            accessors.append(accessor)
            current = field.related_model
        else:
            accessors.append(field.attname)
            current = None
    return FieldPath(path=path, hops=tuple(hops), accessors=tuple(accessors), field=field, behind=behind)


def resolve_relation(model: type[models.Model], path: str, target: type[models.Model]) -> FieldPath:
    """As `resolve`, for a path of relations alone that must end at `target`."""
    found = resolve(model, path)
    if not found.ends_in_relation or len(found.hops) != len(found.accessors):
        raise DocumentError(f'"{path}" does not lead from {model.__name__} to another model.')
    end = found.hops[-1].field.related_model
    if end is None or end._meta.concrete_model is not target._meta.concrete_model:
        raise DocumentError(
            f'"{path}" leads from {model.__name__} to {getattr(end, "__name__", "any model")}, '
            f"not to {target.__name__}."
        )
    return found


def _is_reverse(field: Any) -> bool:
    return bool(field.auto_created and not field.concrete)


def _field_of(model: type[models.Model], name: str) -> Any | None:
    if name == "pk":
        return model._meta.pk
    try:
        return model._meta.get_field(name)
    except FieldDoesNotExist:
        return next(
            (relation for relation in model._meta.related_objects if relation.get_accessor_name() == name),
            None,
        )


def _translations(model: type[models.Model], name: str) -> tuple[Hop, ...]:
    """The relation that a translated attribute of django-parler reads."""
    translated: Any = getattr(model, "_parler_meta", None)
    if translated is None or name not in translated.get_all_fields():
        return ()
    rows = translated.get_model_by_field(name)
    relations = [relation for relation in model._meta.related_objects if relation.related_model is rows]
    return tuple(Hop(model, relation, str(relation.get_accessor_name())) for relation in relations[:1])


def _unknown(model: type[models.Model], part: str, path: str) -> str:
    names = sorted({field.name for field in model._meta.get_fields()})
    within = f' (in "{path}")' if part != path else ""
    return f'{model.__name__} has no field, attribute or method "{part}"{within}. {hint(part, names)}'


def values_at(item: object, accessors: Iterable[str]) -> list[Any]:
    """All values that the accessors reach from `item`; what is None or missing on the way is left out."""
    found: list[Any] = [item]
    for accessor in accessors:
        found = [value for owner in found for value in _follow(owner, accessor)]
    return found


def _follow(owner: Any, accessor: str) -> Iterable[Any]:
    if isinstance(accessor, JsonKey) and not isinstance(owner, Mapping):
        tell_once(accessor, type(owner).__name__)
        return ()
    if isinstance(owner, Mapping):
        value = owner.get(accessor)
    else:
        try:
            value = getattr(owner, accessor)
        except ObjectDoesNotExist:  # an empty reverse one-to-one
            return ()
    if isinstance(value, BaseManager):
        return value.all()
    if callable(value):
        value = value()
    if value is None:
        return ()
    if isinstance(value, list | tuple | set | frozenset | models.QuerySet):
        return [element for element in value if element is not None]
    return (value,)


_told: set[tuple[str, str]] = set()


def tell_once(key: str, found: str) -> None:
    """Say, once in this process, that JSON is not of the shape that a path reads, and counts as empty."""
    if (key, found) not in _told and len(_told) < 1000:
        _told.add((key, found))
        logger.warning("a JSON value of another shape counts as empty path=%s found=%s", key, found)


def infer_kind(field: Any | None) -> FilterKind | None:
    """How a model field is filtered; None where only the site can say."""
    if field is None:
        return None
    if hasattr(field, "base_field"):  # PostgreSQL arrays
        return infer_kind(field.base_field)
    if field.is_relation or field.primary_key:
        return "keyword"
    kinds: tuple[tuple[FilterKind, tuple[type[Any], ...]], ...] = (
        ("boolean", (models.BooleanField,)),
        ("number", (models.IntegerField, models.FloatField, models.DecimalField, models.DurationField)),
        ("date", (models.DateField,)),
        (
            "keyword",
            (models.CharField, models.TextField, models.UUIDField, models.GenericIPAddressField),
        ),
    )
    return next((kind for kind, classes in kinds if isinstance(field, classes)), None)


def as_scalar(value: Any, kind: FilterKind) -> Scalar | None:
    """`value` as an engine filters it; None for what stands for no value. Raises ValueError or TypeError."""
    if kind == "keyword":
        return str(value.pk if isinstance(value, models.Model) else value) or None
    if kind == "boolean":
        return bool(value)
    if kind == "date":
        return _epoch(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, int | float | Decimal | str):
        raise TypeError(f"{type(value).__name__} is not a number")
    number = float(value)
    return number if math.isfinite(number) else None


def _epoch(value: Any) -> float:
    """Seconds since 1970; a date without a time is its midnight in UTC, the same on every server."""
    if isinstance(value, datetime):
        return (value if timezone.is_aware(value) else timezone.make_aware(value)).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    raise TypeError(f"{type(value).__name__} is not a date")
