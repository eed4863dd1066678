"""Grades of results for queries, and the quality they give."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.own import OwnModel


class Judgment(OwnModel):
    """How well an item answers a query, 0 (not at all) to 3 (exactly)."""

    query_id = models.CharField(_("query id"), max_length=100)
    query = models.CharField(_("query"), max_length=500)
    document = models.CharField(_("document"), max_length=100)
    item_id = models.CharField(_("object"), max_length=255)
    grade = models.PositiveSmallIntegerField(
        _("grade"), validators=[MinValueValidator(0), MaxValueValidator(3)]
    )

    class Meta:
        verbose_name = _("judgement")
        verbose_name_plural = _("judgements")
        constraints = [
            models.UniqueConstraint(fields=["document", "query_id", "item_id"], name="llmrec_judgment_unique")
        ]

    def __str__(self) -> str:
        return f"{self.query} → {self.item_id}: {self.grade}"


class SearchQuality(OwnModel):
    """How well search answered the judged queries at one time; rows are only ever appended."""

    document = models.CharField(_("document"), max_length=100)
    at = models.DateTimeField(_("at"), auto_now_add=True)
    queries = models.PositiveIntegerField(_("judged queries"))
    ndcg = models.FloatField(_("NDCG@10"), help_text=_("What nobody judged counts as not relevant."))
    condensed_ndcg = models.FloatField(_("condensed NDCG@10"), help_text=_("What nobody judged is left out."))
    judged = models.FloatField(_("judged"), help_text=_("Share of the first ten that somebody judged."))
    index_version = models.ForeignKey(
        "llmrec_plugin.IndexVersion", verbose_name=_("index version"), null=True, on_delete=models.SET_NULL
    )
    model_version = models.ForeignKey(
        "llmrec_plugin.ModelVersion", verbose_name=_("model version"), null=True, on_delete=models.SET_NULL
    )

    class Meta:
        verbose_name = _("search quality")
        verbose_name_plural = _("search quality")
        ordering = ["-id"]
        indexes = [models.Index(fields=["document", "-id"], name="llmrec_quality_document")]

    def __str__(self) -> str:
        return f"{self.document}: {self.ndcg:.3f}"
