"""The API inside a namespace of the site's own."""

from __future__ import annotations

from django.urls import include, path

shop = ([path("api/", include("llmrec_plugin.api.urls"))], "shop")

urlpatterns = [path("shop/", include(shop, namespace="front"))]
