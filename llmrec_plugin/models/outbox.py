"""Changes that the indexes have not seen yet, and the revisions under which they are written."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.own import OwnModel


class OutboxEntry(OwnModel):
    """One item to look at again; several may wait for one item, and doing one twice does no harm."""

    document = models.CharField(_("document"), max_length=100)
    item_id = models.CharField(
        _("object"), max_length=255, help_text=_("Primary key of the item, or of the related object.")
    )
    via = models.CharField(
        _("via"),
        max_length=255,
        blank=True,
        default="",
        help_text=_("Lookup from the item to a changed related object; empty: the item itself."),
    )
    keys = models.JSONField(
        _("keys"),
        null=True,
        blank=True,
        default=None,
        help_text=_("Primary keys, where one entry stands for many; empty: that of the object."),
    )
    index_version = models.ForeignKey(
        "llmrec_plugin.IndexVersion",
        verbose_name=_("only for index version"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="entries",
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    last_error = models.TextField(_("last error"), blank=True, default="")
    outage = models.BooleanField(
        _("outage"), default=False, help_text=_("The engine or the encoder failed, not the item.")
    )
    lease_owner = models.CharField(max_length=64, blank=True, default="", editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("backlog entry")
        verbose_name_plural = _("backlog")
        ordering = ["id"]
        indexes = [
            models.Index(fields=["document", "item_id"], name="llmrec_outbox_object"),
            models.Index(fields=["lease_until", "not_before"], name="llmrec_outbox_claim"),
            models.Index(
                fields=["index_version"],
                condition=Q(index_version__isnull=False),
                name="llmrec_outbox_version",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.document} {self.item_id}"

    @property
    def stands_for_many(self) -> bool:
        """Whether a worker replaces it by entries of the items that it stands for."""
        return bool(self.via) or self.keys is not None


class IndexBatch(OwnModel):
    """One drained batch; its primary key is the revision of all that the batch writes."""

    at = models.DateTimeField(_("at"), auto_now_add=True)
    entries = models.PositiveIntegerField(_("entries"), default=0)
    encoded = models.PositiveIntegerField(_("texts encoded"), default=0)
    failed = models.PositiveIntegerField(_("failed"), default=0)
    took_ms = models.PositiveIntegerField(_("milliseconds"), default=0)

    class Meta:
        verbose_name = _("drained batch")
        verbose_name_plural = _("drained batches")
        ordering = ["-id"]

    def __str__(self) -> str:
        return str(self.pk)


class Lease(OwnModel):
    """A lock that ends by itself when its owner dies; `fence` grows with every new owner."""

    name = models.CharField(max_length=100, primary_key=True)
    owner = models.CharField(max_length=64, blank=True, default="")
    until = models.DateTimeField(null=True, blank=True)
    fence = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("lock")
        verbose_name_plural = _("locks")

    def __str__(self) -> str:
        return self.name
