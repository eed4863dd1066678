"""What an evaluation of the site's own rows found."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.own import OwnModel


class Evaluation(OwnModel):
    """One report on one document, as `llmrec evaluate` writes it; nobody in it can be told from another."""

    document = models.CharField(_("document"), max_length=100)
    report = models.JSONField(_("report"), default=dict)
    by = models.CharField(_("by"), max_length=150, help_text=_("User name or command."))
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("evaluation")
        verbose_name_plural = _("evaluations")
        ordering = ["-id"]
        indexes = [models.Index(fields=["document", "-id"], name="llmrec_evaluation_latest")]

    def __str__(self) -> str:
        return f"{self.document} {self.pk}"
