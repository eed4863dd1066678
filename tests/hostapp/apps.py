"""The test site's app."""

from __future__ import annotations

from django.apps import AppConfig


class HostappConfig(AppConfig):
    name = "tests.hostapp"
    label = "hostapp"
    default_auto_field = "django.db.models.BigAutoField"
