"""How endpoints describe themselves to drf-spectacular; without it (extra `openapi`) they say nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from rest_framework.schemas.inspectors import DefaultSchema, ViewInspector
from rest_framework.serializers import Serializer

from llmrec_plugin import extras

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)


def is_available() -> bool:
    """Return whether there is somebody to describe anything to."""
    return extras.is_installed("openapi")


def documented(
    operation_id: str,
    *,
    responses: dict[int, Any],
    errors: Iterable[int] = (),
    filters: bool = False,
    **details: Any,
) -> Callable[[F], F]:
    """Describe an operation as `extend_schema` does, with problem documents for `errors`.

    `filters`: the filter fields of the registered documents are parameters, too.
    """

    def decorate(method: F) -> F:
        if not is_available():
            return method
        from llmrec_plugin.api import openapi_schemas

        described: F = openapi_schemas.describe(
            method, operation_id, responses=responses, errors=errors, filters=filters, details=details
        )
        return described

    return decorate


def component(name: str) -> Callable[[C], C]:
    """Name what a serializer is called in the document."""

    def decorate(serializer: C) -> C:
        if is_available():
            from drf_spectacular.utils import extend_schema_serializer

            extend_schema_serializer(component_name=name)(serializer)
        return serializer

    return decorate


def hidden(view: C) -> C:
    """Leave a view out of the document."""
    if is_available():
        from drf_spectacular.utils import extend_schema

        extend_schema(exclude=True)(view)
    return view


def object_or_list(name: str, serializer: type[Serializer[Any]]) -> object:
    """Return what describes a body that is one object or a list of them; None where nobody asks."""
    if not is_available():
        return None
    from drf_spectacular.utils import PolymorphicProxySerializer

    return PolymorphicProxySerializer(
        component_name=name,
        serializers=[serializer, serializer(many=True)],
        resource_type_field_name=None,
        many=False,
    )


def view_schema() -> ViewInspector:
    """Return what describes a view, whatever the site has set for its own."""
    if not is_available():
        return DefaultSchema()
    from drf_spectacular.openapi import AutoSchema

    return AutoSchema()
