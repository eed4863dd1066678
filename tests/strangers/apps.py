"""The app of such a site."""

from __future__ import annotations

from django.apps import AppConfig


class StrangersConfig(AppConfig):
    name = "tests.strangers"
    label = "strangers"
    default_auto_field = "django.db.models.BigAutoField"
