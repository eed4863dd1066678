"""What people did with items, as events."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.event_kinds import kind_choices
from llmrec_plugin.models.own import OwnModel


class Interaction(OwnModel):
    """One event; kept only with consent and until retention ends."""

    user_key = models.CharField(_("user"), max_length=100)
    document = models.CharField(_("document"), max_length=100)
    item_id = models.CharField(_("object"), max_length=255)
    kind = models.CharField(_("kind"), max_length=30, choices=kind_choices)
    value = models.FloatField(_("value"), null=True, blank=True)
    at = models.DateTimeField(_("at"))
    request_id = models.UUIDField(_("request"), null=True, blank=True)
    position = models.PositiveIntegerField(_("position"), null=True, blank=True)
    event_id = models.CharField(
        _("external id"),
        max_length=100,
        null=True,
        blank=True,
        unique=True,
        help_text=_("Given by the sender; a second event with it is not stored again."),
    )
    received_at = models.DateTimeField(_("received"), auto_now_add=True)

    class Meta:
        verbose_name = _("interaction")
        verbose_name_plural = _("interactions")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["user_key", "document", "-at"], name="llmrec_interaction_user"),
            models.Index(fields=["document", "-at"], name="llmrec_interaction_recent"),
            models.Index(
                fields=["request_id"],
                condition=Q(request_id__isnull=False),
                name="llmrec_interaction_request",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.document} {self.item_id}"
