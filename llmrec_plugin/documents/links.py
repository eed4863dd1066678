"""Which columns of a row name the row that it belongs to, so that saving it may move it to another.

A review names its product, a row of a "through" model both of its ends, a tagged item anything at all by
content type and key. `paths` says which relations are crossed, this module where their keys lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import ForeignKey, ManyToManyField, Model
from django.db.models.constants import LOOKUP_SEP
from django.db.models.fields.reverse_related import ForeignObjectRel

from llmrec_plugin.documents.paths import Hop


@dataclass(frozen=True)
class OwnerColumn:
    """A column, or a content type with a key, that names the owner of a row."""

    row: type[Model]
    """The model that has the column."""
    owner: type[Model]
    """The model whose primary key it holds."""
    name: str
    """As a queryset reads the owner's primary key."""
    attribute: str = ""
    """As an instance has the same value; empty: it has another than the primary key."""
    content_type: str = ""
    """Attribute with the id of the owner's content type; empty: the column names one model only."""
    other: str = ""
    """Of a row between two models: the name of the column with the other end."""


def owner_column(hop: Hop) -> OwnerColumn | None:
    """Return where the key of the hop lies, if in a row of its own or in that of the other model; None for a
    foreign key, which the owner itself has, and for relations of unknown making."""
    field = hop.field
    if field.many_to_many:
        return _of_through(hop)
    if not hop.reverse:
        return None
    if hasattr(field, "object_id_field_name"):
        return _generic(
            field.related_model, field.model, field.content_type_field_name, field.object_id_field_name
        )
    return _of_foreign_key(field.field)


def through_of(hop: Hop) -> type[Model] | None:
    """Return the model of the rows between both ends of a many-to-many relation, of Django's or another's
    making; None for any other relation."""
    field = hop.field
    if not field.many_to_many:
        return None
    source = field if isinstance(field, ForeignObjectRel) else getattr(field, "remote_field", field)
    found: type[Model] | None = getattr(source, "through", None) or getattr(field, "through", None)
    return found


def is_forward(hop: Hop) -> bool:
    """Whether the many-to-many field is declared where the hop starts."""
    return not isinstance(hop.field, ForeignObjectRel)


def is_symmetrical(hop: Hop) -> bool:
    """Whether what is linked to another is thereby linked from it, too."""
    return is_forward(hop) and bool(getattr(hop.field.remote_field, "symmetrical", False))


def lookup_up(model: type[Model], ancestor: type[Model]) -> str:
    """Return the lookup from a row of `model` to its row in the table of a parent model; empty where both are
    one table."""
    current, goal = concrete(model), concrete(ancestor)
    links = []
    for parent in [] if current is goal else current._meta.get_base_chain(goal):
        link = current._meta.get_ancestor_link(parent)
        links += [link.name] if link is not None else []
        current = parent
    return LOOKUP_SEP.join(links)


def concrete(model: type[Model]) -> type[Model]:
    """Return the model itself, or what a proxy stands for."""
    return model._meta.concrete_model or model


def key_of(instance: Model, model: type[Model]) -> Any:
    """Return the primary key of the instance's row in the table of `model`, its own or a parent's."""
    pk = concrete(model)._meta.pk
    return instance.pk if pk is None else getattr(instance, pk.attname, instance.pk)


def _of_through(hop: Hop) -> OwnerColumn | None:
    field: Any = hop.field
    through = through_of(hop)
    if through is None:
        return None
    if isinstance(field, ManyToManyField):
        names = field.m2m_field_name(), field.m2m_reverse_field_name()
    elif isinstance(field, ForeignObjectRel):
        declared: Any = field.field
        names = declared.m2m_reverse_field_name(), declared.m2m_field_name()
    else:
        return _of_foreign_through(hop, through)
    ends: list[Any] = [through._meta.get_field(name) for name in names]
    own, other = ends
    return _of_foreign_key(own, other=other.attname)


def _of_foreign_through(hop: Hop, through: type[Model]) -> OwnerColumn | None:
    """As django-taggit has it, whose rows name what is tagged as `content_object`."""
    try:
        named: Any = through._meta.get_field("content_object")
    except FieldDoesNotExist:
        return None
    if isinstance(named, ForeignKey):
        return _of_foreign_key(named)
    return _generic(through, hop.model, named.ct_field, named.fk_field)


def _of_foreign_key(field: Any, *, other: str = "") -> OwnerColumn:
    is_pk = bool(field.target_field.primary_key)
    return OwnerColumn(
        row=field.model,
        owner=field.related_model,
        name=field.attname if is_pk else f"{field.name}__pk",
        attribute=field.attname if is_pk else "",
        other=other,
    )


def _generic(row: type[Model], owner: type[Model], content_type: str, object_id: str) -> OwnerColumn:
    key: Any = row._meta.get_field(object_id)
    kind: Any = row._meta.get_field(content_type)
    return OwnerColumn(
        row=row, owner=owner, name=key.attname, attribute=key.attname, content_type=kind.attname
    )
