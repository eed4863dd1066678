"""`path("api/", include("llmrec_plugin.api.urls"))`, under any prefix; needs the extra `rest`."""

from __future__ import annotations

from django.urls import path

from llmrec_plugin import extras
from llmrec_plugin.exceptions import ConfigurationError

__all__ = ["app_name", "urlpatterns"]

if not extras.is_installed("rest"):
    raise ConfigurationError(extras.missing("rest", "llmrec_plugin.api.urls"))

from llmrec_plugin.api import descriptions, health, impressions, interactions, me, metrics, undescribed, views

app_name = "llmrec"

urlpatterns = [
    path("search/", views.SearchView.as_view(), name="search"),
    path("suggest/", views.SuggestView.as_view(), name="suggest"),
    path("recommendations/<str:placement>/", views.RecommendationsView.as_view(), name="recommendations"),
    # a text key may hold slashes
    path("items/<str:document>/<path:item_id>/similar/", views.SimilarView.as_view(), name="similar"),
    path(
        "items/<str:document>/<path:item_id>/also-bought/",
        views.AlsoBoughtView.as_view(),
        name="also-bought",
    ),
    path("interactions/", interactions.InteractionsView.as_view(), name="interactions"),
    path("impressions/", impressions.ImpressionsView.as_view(), name="impressions"),
    path("me/", me.MeView.as_view(), name="me"),
    path("me/export/", me.ExportView.as_view(), name="me-export"),
    path("me/consent/", me.ConsentView.as_view(), name="me-consent"),
    path("health/live/", health.LiveView.as_view(), name="health-live"),
    path("health/ready/", health.ReadyView.as_view(), name="health-ready"),
    path("metrics/", metrics.MetricsView.as_view(), name="metrics"),
]

if descriptions.is_available():
    from llmrec_plugin.api import openapi

    urlpatterns += [
        path("schema/", openapi.SchemaView.as_view(), name="schema"),
        path("docs/", openapi.DocsView.as_view(), name="docs"),
    ]
else:
    urlpatterns += [
        path("schema/", undescribed.NoDocumentView.as_view(), name="schema"),
        path("docs/", undescribed.NoDocumentView.as_view(), name="docs"),
    ]
