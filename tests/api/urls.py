"""The API under another prefix, beside a login page."""

from __future__ import annotations

from django.contrib.auth.views import LoginView
from django.urls import include, path

urlpatterns = [
    path("shop/v1/", include("llmrec_plugin.api.urls")),
    path("login/", LoginView.as_view(next_page="/", template_name="unused.html")),
]
