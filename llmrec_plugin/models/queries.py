"""What many visitors have searched for, counted so that no single one can be told from it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.own import OwnModel


class PopularQuery(OwnModel):
    """A search of at least LLMREC["SUGGEST_MIN_VISITORS"] visitors; written anew by each count."""

    document = models.CharField(_("document"), max_length=100)
    text = models.CharField(_("query"), max_length=500)
    visitors = models.PositiveIntegerField(_("visitors"))
    counted_at = models.DateTimeField(_("counted"), auto_now_add=True)

    class Meta:
        verbose_name = _("popular search")
        verbose_name_plural = _("popular searches")
        ordering = ["document", "-visitors", "text"]
        constraints = [
            models.UniqueConstraint(fields=["document", "text"], name="llmrec_popular_query_unique")
        ]

    def __str__(self) -> str:
        return self.text
