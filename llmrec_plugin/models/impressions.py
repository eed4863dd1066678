"""Lists that were shown, kept for their later pages and for learning."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.own import OwnModel


class Impression(OwnModel):
    """One ranked list as it was served; cursors walk `ranking`, learning reads `shown`."""

    request_id = models.UUIDField(_("request"), primary_key=True, default=uuid.uuid4, editable=False)
    user_key = models.CharField(_("user"), max_length=100, blank=True, default="")
    document = models.CharField(_("document"), max_length=100)
    placement = models.CharField(
        _("placement"), max_length=50, help_text=_('"search" or the placement\'s name.')
    )
    query = models.CharField(_("query"), max_length=500, blank=True, default="")
    ranking = models.JSONField(
        _("ranking"),
        null=True,
        blank=True,
        help_text=_(
            "[[key, {contribution: number}], …], best first; what was not shown is dropped when pages expire."
        ),
    )
    extra = models.JSONField(default=dict, blank=True, editable=False)
    shown = models.PositiveIntegerField(_("shown"), default=0, help_text=_("Positions delivered so far."))
    seen = models.PositiveIntegerField(
        _("seen"),
        null=True,
        blank=True,
        help_text=_("Positions that came into the visitor's view, as their browser told; empty: it did not."),
    )
    total = models.PositiveIntegerField(_("total"), default=0)
    degraded = models.JSONField(_("degraded"), default=list, blank=True)
    index_version = models.ForeignKey(
        "llmrec_plugin.IndexVersion", verbose_name=_("index version"), null=True, on_delete=models.SET_NULL
    )
    model_version = models.ForeignKey(
        "llmrec_plugin.ModelVersion", verbose_name=_("model version"), null=True, on_delete=models.SET_NULL
    )
    arm = models.ForeignKey(
        "llmrec_plugin.Arm",
        verbose_name=_("arm"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        db_index=False,
        related_name="impressions",
    )
    arm_error = models.CharField(
        _("why the control answered instead"), max_length=200, blank=True, default=""
    )
    teams = models.TextField(
        blank=True,
        default="",
        editable=False,
        help_text=_(
            "Interleaving: for each place of the ranking 0, the control put it there, or 1, the arm."
        ),
    )
    took_ms = models.PositiveIntegerField(_("milliseconds"), default=0)
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("impression")
        verbose_name_plural = _("impressions")
        ordering = ["-at"]
        indexes = [
            models.Index(fields=["user_key"], name="llmrec_impression_user"),
            models.Index(fields=["at"], name="llmrec_impression_at"),
            # All that the dashboard counts, so that it need not read the rankings along with it.
            models.Index(
                fields=["document", "at", "placement", "user_key", "total", "shown", "took_ms", "query"],
                name="llmrec_impression_counts",
            ),
            models.Index(
                fields=["arm", "user_key"], condition=Q(arm__isnull=False), name="llmrec_impression_arm"
            ),
        ]

    def __str__(self) -> str:
        return str(self.request_id)
