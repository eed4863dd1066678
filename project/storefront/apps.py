"""The storefront's place in the site."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class StorefrontConfig(AppConfig):
    name = "project.storefront"
    label = "storefront"
    verbose_name = _("Storefront")
