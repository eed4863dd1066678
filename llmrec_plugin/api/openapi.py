"""The OpenAPI document of these endpoints alone, its page, and how views describe themselves.

Neither drf-spectacular nor REST framework has to be in INSTALLED_APPS, and the site's own settings for them
do not change what is described here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import drf_spectacular
from django.apps import apps
from django.http import HttpResponse
from django.template import Context, Engine
from django.templatetags.static import static
from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from drf_spectacular.views import SpectacularSwaggerView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

import llmrec_plugin
from llmrec_plugin.api.base import ApiView, OneFormat
from llmrec_plugin.api.problems import CONTENT_TYPE
from llmrec_plugin.api.serializers import ProblemSerializer
from llmrec_plugin.api.visitors import HEADER
from llmrec_plugin.documents import registry
from llmrec_plugin.services.items.filter_parsing import RANGES
from llmrec_plugin.types import FilterKind

F = TypeVar("F", bound=Callable[..., Any])

DESCRIPTION = """Personalised search and recommendations.

Errors are RFC 9457 problem documents (`application/problem+json`) with a stable `code`.
An empty query parameter counts as not given; an unknown one is an error that names the nearest."""

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


def documented(
    operation_id: str,
    *,
    responses: dict[int, Any],
    errors: Iterable[int] = (),
    schema: type[AutoSchema] = VisitorSchema,
    **details: Any,
) -> Callable[[F], F]:
    """`extend_schema` on top of `schema`, with problem documents for `errors`."""
    answers: dict[Any, Any] = dict(responses)
    answers.update({(status, CONTENT_TYPE): ProblemSerializer for status in errors})

    def decorate(method: F) -> F:
        method.schema = schema  # type: ignore[attr-defined]  # where extend_schema looks for its base
        return extend_schema(operation_id=f"llmrec_{operation_id}", responses=answers, **details)(method)

    return decorate


class _OwnEndpoints(EndpointEnumerator):
    """The endpoints of this package, at the paths where the site has mounted them."""

    def get_api_endpoints(self, patterns: Any = None, prefix: str = "") -> list[Any]:
        return [
            endpoint
            for endpoint in super().get_api_endpoints(patterns, prefix)  # type: ignore[no-untyped-call]
            if issubclass(endpoint[3].cls, ApiView)
        ]


class OwnSchemaGenerator(SchemaGenerator):
    endpoint_inspector_cls = _OwnEndpoints

    def get_schema(self, request: Request | None = None, public: bool = False) -> dict[str, Any]:
        schema: dict[str, Any] = super().get_schema(request, public)  # type: ignore[no-untyped-call]
        schema["info"] = {
            "title": "Search and recommendations",
            "version": llmrec_plugin.__version__,
            "description": DESCRIPTION,
        }
        return schema


class SchemaView(ApiView):
    """The OpenAPI document, as YAML or, where asked for, as JSON."""

    schema = None  # type: ignore[assignment]  # this one is not described in the document
    renderer_classes = (OpenApiYamlRenderer, OpenApiJsonRenderer)
    content_negotiation_class = DefaultContentNegotiation

    def get(self, request: Request) -> Response:
        generator = OwnSchemaGenerator()  # type: ignore[no-untyped-call]
        return Response(generator.get_schema(request=request, public=True))


class DocsView(SpectacularSwaggerView):
    """Swagger UI on the OpenAPI document; drf-spectacular-sidecar lets it do without a content network."""

    schema = None
    content_negotiation_class = OneFormat
    url = "../schema/"
    title = "Search and recommendations"

    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        page = _engine().get_template(self.template_name).render(Context(response.data))
        return HttpResponse(page)

    @staticmethod
    def _swagger_ui_resource(filename: str) -> str:
        if apps.is_installed("drf_spectacular_sidecar"):
            return static(f"drf_spectacular_sidecar/swagger-ui-dist/{filename}")
        return str(SpectacularSwaggerView._swagger_ui_resource(filename))  # type: ignore[no-untyped-call]

    @staticmethod
    def _swagger_ui_favicon() -> str:
        return DocsView._swagger_ui_resource("favicon-32x32.png")


def _engine() -> Engine:
    return Engine(dirs=[str(Path(drf_spectacular.__file__).parent / "templates")])
