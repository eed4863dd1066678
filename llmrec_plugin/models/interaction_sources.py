"""Rows of the site whose events are to be looked at again."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.own import OwnModel


class SourceChange(OwnModel):
    """A row of an InteractionSource, or one that such rows refer to, that changed. Rows are only appended and
    deleted, so that no save waits for another; doing one twice does no harm."""

    source = models.CharField(_("source"), max_length=100)
    row_id = models.CharField(
        _("row"), max_length=255, help_text=_("Primary key of the row, or of the related object.")
    )
    via = models.CharField(
        _("via"),
        max_length=255,
        blank=True,
        default="",
        help_text=_("Lookup from the row to a changed related object; empty: the row itself."),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    last_error = models.TextField(_("last error"), blank=True, default="")

    class Meta:
        verbose_name = _("change of a source")
        verbose_name_plural = _("changes of sources")
        ordering = ["id"]
        indexes = [models.Index(fields=["source", "not_before"], name="llmrec_source_change_due")]

    def __str__(self) -> str:
        return f"{self.source} {self.row_id}"
