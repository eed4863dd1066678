"""Encoders that were tuned on the site's own events, and what became of them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.own import OwnModel


class TunedEncoder(OwnModel):
    """One tuned encoder; its weights are a folder of LLMREC["DATA_DIR"]/encoders named by their content."""

    class State(models.TextChoices):
        MEASURING = "measuring", _("being measured and built")
        ACCEPTED = "accepted", _("better, taken over")
        REFUSED = "refused", _("not better, left aside")
        BROKEN = "broken", _("broken off")

    document = models.CharField(_("document"), max_length=100)
    name = models.CharField(
        _("encoder"), max_length=64, help_text=_("As settings and index versions name it.")
    )
    options = models.JSONField(_("encoder options"), default=dict, blank=True)
    encoder_id = models.CharField(_("encoder identity"), max_length=64)
    base_name = models.CharField(_("made from"), max_length=255)
    base_options = models.JSONField(_("options of what it was made from"), default=dict, blank=True)
    base_id = models.CharField(_("identity of what it was made from"), max_length=64)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.MEASURING)
    events_since = models.DateTimeField(_("interactions since"), null=True, blank=True)
    events_until = models.DateTimeField(_("interactions until"), null=True, blank=True)
    report = models.JSONField(
        _("report"), default=dict, help_text=_("Of the training, and of the comparison with what answered.")
    )
    by = models.CharField(_("by"), max_length=150, help_text=_("User name or command."))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("tuned encoder")
        verbose_name_plural = _("tuned encoders")
        ordering = ["-id"]
        indexes = [models.Index(fields=["document", "name"], name="llmrec_tuned_encoder")]

    def __str__(self) -> str:
        return f"{self.document} {self.name}"
