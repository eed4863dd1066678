"""What the site knows of its users: words about them, and its own orders or enrolments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db import router
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP

from llmrec_plugin import moments
from llmrec_plugin.documents.paths import FieldPath, resolve, resolve_relation, values_at
from llmrec_plugin.documents.search import Followed, add_way, join_texts, text_values, with_relations

M = TypeVar("M", bound=Model)


class UserDocument(Generic[M]):
    """A user in words (interests, profession, a course of studies): taste before there is any history.

    @register
    class ReaderDocument(UserDocument[Reader]):
        model = Reader
        text_fields = ["interests", "about"]
        user_field = "user_id"
    """

    model: type[M]
    """The user model itself, or one that belongs to it, such as a profile."""
    text_fields: Mapping[str, float] | Sequence[str] = ()
    """Fields, methods or paths; their texts are joined in this order."""
    user_field: str = "pk"
    """Lookup from the model to the user's primary key: "user_id" where the model is a profile."""
    level_field: str = ""
    """Number that says how far the user is, on the scale of a document's `progression`; empty: unknown."""

    def get_queryset(self) -> QuerySet[M]:
        """The rows that are read; leave out here of whom nothing is to be known."""
        return with_relations(self.model._default_manager.all(), self._paths.values())

    def get_user_key(self, obj: M) -> str:
        """The user key, as interactions carry it."""
        return str(next(iter(values_at(obj, self._user_path.accessors)), ""))

    def find(self, user_key: str) -> M | None:
        """The row of that user; override it together with `get_user_key`."""
        field = self._user_path.field
        try:
            value = field.to_python(user_key) if field is not None else user_key
            rows = self.get_queryset().using(router.db_for_write(self.model))  # a replica may lag behind
            obj = rows.filter(**{self.user_field: value}).first()
        except (ValidationError, ValueError, TypeError, OverflowError):
            return None
        return obj if obj is not None and self.get_user_key(obj) == user_key else None

    def level_of(self, user_key: str) -> float | None:
        """How far that user says they are; None: it is not known."""
        obj = self.find(user_key) if self.level_field else None
        level = None if obj is None else next(iter(values_at(obj, self._level_path.accessors)), None)
        return None if level is None else float(level)

    def prepare(self, obj: M) -> str:
        """Plain text about the user; empty: nothing is known."""
        parts = []
        for name, path in self._paths.items():
            own = self.method_for(name)
            values = [own(obj)] if own is not None else values_at(obj, path.accessors if path else ())
            parts.append(join_texts(text_values(values), many=path is not None and path.many))
        return "\n".join(part for part in parts if part)

    def method_for(self, name: str) -> Callable[[M], Any] | None:
        """The site's own `prepare_<name>`."""
        return getattr(self, f"prepare_{name}", None)

    @cached_property
    def _level_path(self) -> FieldPath:
        return resolve(self.model, self.level_field)

    @cached_property
    def _user_path(self) -> FieldPath:
        return resolve(self.model, self.user_field).as_keys()

    @cached_property
    def _paths(self) -> dict[str, FieldPath | None]:
        return {
            name: None if self.method_for(name) is not None else resolve(self.model, name)
            for name in self.text_fields
        }


@dataclass(frozen=True, kw_only=True)
class SourceEvent:
    """One row of the site as an interaction."""

    user_key: str
    document: str
    item_id: str
    kind: str
    at: datetime
    value: float | None
    event_id: str


class InteractionSource(Generic[M]):
    """Rows of the site that say what a user did: order lines, enrolments, ratings. Events follow the rows
    and all that their paths cross: an order that is paid adds events, one that is cancelled takes them back.
    `manage.py llmrec import interactions --from-source` takes over what was there before.

        @register
        class OrderLineSource(InteractionSource[OrderLine]):
            model = OrderLine
            document = "product"
            user_field = "order__customer_id"
            item_field = "product_id"
            time_field = "order__placed_at"
            kind = "purchase"
            related = {Order: "order"}

            def get_queryset(self):
                return super().get_queryset().filter(order__status="paid")
    """

    model: type[M]
    """Of the rows."""
    label: str = ""
    """Name in commands and in the ids of events, for good; the model's name unless given, as it must be
    where one model has two sources."""
    document: str = ""
    """Label of the document whose items the rows speak of."""
    user_field: str = "user_id"
    """Path to the user's primary key."""
    item_field: str = ""
    """Path to the item's primary key."""
    kind: str = "purchase"
    """What each row says: the name of a registered kind of event, such as "view" or "purchase"."""
    kind_field: str = ""
    """Path to what tells the kind row by row, such as "order__status"; empty: all are of `kind`."""
    kinds: Mapping[str, str] = {}
    """Value at `kind_field` -> kind of event, such as {"paid": "purchase"}; rows of other values are no
    events. Empty: the value is the name of the kind."""
    time_field: str = ""
    """Path to a date or datetime."""
    value_field: str = ""
    """Path to a number, such as stars or a quantity; empty: none."""
    related: Mapping[type[Model], str | Sequence[str]] = {}
    """Other models whose changes change what the rows tell, with the lookup from a row to them: those that
    `get_queryset` filters by and `event` reads. What a path crosses is followed without being named."""

    PATHS: ClassVar[tuple[str, ...]] = (
        "user_field",
        "item_field",
        "time_field",
        "value_field",
        "kind_field",
    )
    OPTIONAL_PATHS: ClassVar[tuple[str, ...]] = ("value_field", "kind_field")

    def __init__(self) -> None:
        self.label = self.label or self.model._meta.label_lower

    def get_queryset(self) -> QuerySet[M]:
        """The rows that count; leave out cancelled orders here."""
        read = (path.as_keys() for path in self._paths.values())
        return with_relations(self.model._default_manager.all(), read)

    def event_id(self, pk: object) -> str:
        """The same for one row at any time, so that no row is counted twice."""
        return f"source:{self.label}:{pk}"

    def event(self, obj: M) -> SourceEvent | None:
        """None where the row names no user, no item or no time, or its kind is none of `kinds`."""
        user, item, at = (self._value(obj, name) for name in ("user_field", "item_field", "time_field"))
        kind = self._kind_of(obj)
        if user is None or item is None or at is None or kind is None:
            return None
        value = self._value(obj, "value_field")
        number = None if value is None else float(value)
        return SourceEvent(
            user_key=str(user),
            document=self.document,
            item_id=str(item),
            kind=kind,
            at=_moment(at),
            value=number if number is not None and math.isfinite(number) else None,
            event_id=self.event_id(obj.pk),
        )

    def event_kinds(self) -> tuple[str, ...]:
        """The kinds of events that rows may tell, as far as they are declared."""
        if self.kind_field and self.kinds:
            return tuple(dict.fromkeys(self.kinds.values()))
        return (self.kind,)

    def followed(self) -> list[Followed]:
        """Every other model whose changes may change events, declared in `related`, crossed by a path or a
        parent of the model, each way once; raises DocumentError for a declaration that does not fit."""
        return list(self._followed.values())

    @cached_property
    def _followed(self) -> dict[str, Followed]:
        ways: dict[str, Followed] = {}
        for path in _parent_paths(self.model):
            add_way(ways, resolve(self.model, path), keys_only=False)
        for target, paths in self.related.items():
            for path in [paths] if isinstance(paths, str) else paths:
                for way in resolve_relation(self.model, path, target).relations():
                    add_way(ways, way, keys_only=False)
        for found in self._paths.values():
            for way in found.relations():
                add_way(ways, way, keys_only=found.ends_in_relation and way.hops == found.hops)
        return ways

    def _kind_of(self, obj: M) -> str | None:
        if not self.kind_field:
            return self.kind
        told = self._value(obj, "kind_field")
        if told is None:
            return None
        return self.kinds.get(str(told)) if self.kinds else str(told)

    def _value(self, obj: M, name: str) -> Any:
        path = self._paths.get(name)
        values = values_at(obj, path.as_keys().accessors) if path is not None else []
        first = next(iter(values), None)
        return first.pk if isinstance(first, Model) else first

    @cached_property
    def _paths(self) -> dict[str, FieldPath]:
        return {name: resolve(self.model, getattr(self, name)) for name in self.PATHS if getattr(self, name)}


def _parent_paths(model: type[Model], before: str = "") -> Iterator[str]:
    """Yield the lookups from a row to its parts in the tables of parent models."""
    for parent, link in model._meta.parents.items():
        if link is not None:
            yield before + link.name
            yield from _parent_paths(parent, f"{before}{link.name}{LOOKUP_SEP}")


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return moments.as_stored(value)
    if isinstance(value, date):
        return moments.as_stored(datetime(value.year, value.month, value.day))  # noqa: DTZ001
    raise TypeError(f"{type(value).__name__} is not a date")
