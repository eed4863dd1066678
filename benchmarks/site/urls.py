"""The REST API alone."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("api/", include("llmrec_plugin.api.urls"))]
