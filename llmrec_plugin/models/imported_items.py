"""Items that came from a file instead of a model of the site."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.own import OwnModel


class ImportedItem(OwnModel):
    """An item that has no model in this site; `llmrec import items` fills it."""

    id = models.CharField(_("id"), max_length=255, primary_key=True)
    document = models.CharField(_("document"), max_length=100)
    text = models.JSONField(_("text"))
    filters = models.JSONField(_("filters"), default=dict, blank=True)
    image = models.CharField(_("image"), max_length=500, blank=True, default="")

    class Meta:
        verbose_name = _("imported item")
        verbose_name_plural = _("imported items")
        # Both columns: with one on the document alone SQLite reads all of its items to find a page of them.
        indexes = [models.Index(fields=["document", "id"], name="llmrec_imported_document")]

    def __str__(self) -> str:
        return str(next(iter(self.text.values()), self.pk))
