"""The OpenAPI document of these endpoints alone, and its page; needs the extra `openapi`.

Neither drf-spectacular nor REST framework has to be in INSTALLED_APPS, and the site's own settings for them
do not change what is described here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import drf_spectacular
from django.apps import apps
from django.http import HttpResponse
from django.template import Context, Engine
from django.templatetags.static import static
from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularSwaggerView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

import llmrec_plugin
from llmrec_plugin.api.base import ApiView, OneFormat

DESCRIPTION = """Personalised search and recommendations.

Errors are RFC 9457 problem documents (`application/problem+json`) with a stable `code`.
An empty query parameter counts as not given; an unknown one is an error that names the nearest."""


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
