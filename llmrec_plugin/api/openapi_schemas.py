"""What drf-spectacular is told of each operation: the visitor's header, filters, problem documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema

from llmrec_plugin.api.fields import KindField
from llmrec_plugin.api.problems import CONTENT_TYPE
from llmrec_plugin.api.serializers import ProblemSerializer
from llmrec_plugin.documents import registry
from llmrec_plugin.services.interactions.browser_kinds import sendable_kinds
from llmrec_plugin.services.items.filter_parsing import RANGES
from llmrec_plugin.types import FilterKind
from llmrec_plugin.visitors import HEADER

_TYPES: dict[FilterKind, OpenApiTypes] = {
    "keyword": OpenApiTypes.STR,
    "number": OpenApiTypes.DOUBLE,
    "boolean": OpenApiTypes.BOOL,
    "date": OpenApiTypes.STR,
}
_WORDS: dict[FilterKind, str] = {
    "keyword": "text",
    "number": "number",
    "boolean": "true or false",
    "date": "ISO 8601: a day in UTC, or a time",
}
_BOUNDS = {"gte": "at least", "gt": "above", "lte": "at most", "lt": "below"}


class VisitorSchema(AutoSchema):
    """Adds the header by which clients without cookies say who they are."""

    def get_override_parameters(self) -> list[Any]:
        return [
            OpenApiParameter(
                HEADER,
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description="The visitor's key, as an earlier answer gave it; browsers use a cookie.",
            )
        ]


class FilterSchema(VisitorSchema):
    """Adds the filter fields of the registered documents."""

    def get_override_parameters(self) -> list[Any]:
        return [*super().get_override_parameters(), *_filter_parameters()]


class KindFieldExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Describes a kind of event in place: a component named after it could clash with one of the site's."""

    target_class = KindField

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        return {"type": "string", "enum": list(sendable_kinds())}


def _filter_parameters() -> list[OpenApiParameter]:
    """One parameter per field and bound; a field of several documents is described once."""
    kinds: dict[str, set[FilterKind]] = {}
    owners: dict[str, list[str]] = {}
    for document in registry:
        for name, kind in document.filter_kinds().items():
            kinds.setdefault(name, set()).add(kind)
            owners.setdefault(name, []).append(document.label)
    return [
        parameter
        for name in sorted(kinds)
        for parameter in _parameters_of(name, kinds[name], f"Filter of {', '.join(sorted(owners[name]))}")
    ]


def _parameters_of(name: str, kinds: set[FilterKind], what: str) -> Iterable[OpenApiParameter]:
    kind_type = _TYPES[next(iter(kinds))] if len(kinds) == 1 else OpenApiTypes.STR
    yield OpenApiParameter(
        name,
        kind_type,
        many=True,
        description=f"{what} ({', '.join(sorted(map(_WORDS.__getitem__, kinds)))}); repeat it for OR.",
    )
    if kinds & {"number", "date"}:
        for bound in RANGES:
            yield OpenApiParameter(f"{name}__{bound}", kind_type, description=f"{what}: {_BOUNDS[bound]}.")


def describe(
    method: Any,
    operation_id: str,
    *,
    responses: dict[int, Any],
    errors: Iterable[int],
    filters: bool,
    details: dict[str, Any],
) -> Any:
    """Return the method with its description: `extend_schema` on top of our own schema."""
    answers: dict[Any, Any] = dict(responses)
    answers.update({(status, CONTENT_TYPE): ProblemSerializer for status in errors})
    method.schema = FilterSchema if filters else VisitorSchema  # where extend_schema looks for its base
    return extend_schema(operation_id=f"llmrec_{operation_id}", responses=answers, **details)(method)
