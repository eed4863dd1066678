"""The API below a prefix that names a tenant."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def page(request: HttpRequest, tenant: str) -> HttpResponse:
    return HttpResponse(tenant)


urlpatterns = [
    path("<slug:tenant>/api/", include("llmrec_plugin.api.urls")),
    path("<slug:tenant>/page/", page),
]
