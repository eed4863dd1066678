"""Start-up: find the site's documents, connect the receivers and register the system checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class LlmrecConfig(AppConfig):
    name = "llmrec_plugin"
    label = "llmrec_plugin"
    verbose_name = _("Search and recommendations")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from llmrec_plugin import checks, receivers  # noqa: F401  (registers the checks)
        from llmrec_plugin.services.recommendations import strategies  # noqa: F401  (registers them)

        autodiscover_modules("search_documents")
        receivers.connect()
