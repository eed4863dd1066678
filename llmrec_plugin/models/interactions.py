"""What users did, what they were shown, what they agreed to, and graded judgements of results."""

from __future__ import annotations

import uuid

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Interaction(models.Model):
    """One event; kept only with consent and until retention ends."""

    class Kind(models.TextChoices):
        VIEW = "view", _("viewed")
        CLICK = "click", _("clicked")
        CART = "cart", _("put in the basket")
        PURCHASE = "purchase", _("bought")
        ENROL = "enrol", _("enrolled")
        RATING = "rating", _("rated")
        DISMISS = "dismiss", _("dismissed")

    user_key = models.CharField(_("user"), max_length=100)
    document = models.CharField(_("document"), max_length=100)
    object_id = models.CharField(_("object"), max_length=255)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    value = models.FloatField(_("value"), null=True, blank=True)
    at = models.DateTimeField(_("at"))
    request_id = models.UUIDField(_("request"), null=True, blank=True)
    position = models.PositiveIntegerField(_("position"), null=True, blank=True)
    external_id = models.CharField(
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
        return f"{self.kind} {self.document} {self.object_id}"


class Impression(models.Model):
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
        help_text=_("Positions that came into the visitor's view, as his browser told; empty: it did not."),
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


class Dashboard(Impression):
    """Gives the console's dashboard a place in the admin's menu and a permission of its own."""

    class Meta:
        proxy = True
        verbose_name = _("dashboard")
        verbose_name_plural = _("dashboard")
        default_permissions = ("view",)


class DailyLists(models.Model):
    """What the lists of one day led to, in sums that name nobody; rows are only ever added."""

    document = models.CharField(_("document"), max_length=100)
    day = models.DateField(_("day"))
    sums = models.JSONField(_("sums"), default=dict, help_text=_("{placement: {name: number}}"))

    class Meta:
        verbose_name = _("lists of a day")
        verbose_name_plural = _("lists by day")
        ordering = ["-day"]
        constraints = [models.UniqueConstraint(fields=["document", "day"], name="llmrec_daily_lists_unique")]

    def __str__(self) -> str:
        return f"{self.document} {self.day}"


class Consent(models.Model):
    """A user's own choice; without a row LLMREC["CONSENT"] decides."""

    user_key = models.CharField(_("user"), max_length=100, primary_key=True)
    granted = models.BooleanField(_("granted"))
    at = models.DateTimeField(_("at"), auto_now=True)

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")

    def __str__(self) -> str:
        return self.user_key


class Judgment(models.Model):
    """How well an item answers a query, 0 (not at all) to 3 (exactly)."""

    query_id = models.CharField(_("query id"), max_length=100)
    query = models.CharField(_("query"), max_length=500)
    document = models.CharField(_("document"), max_length=100)
    object_id = models.CharField(_("object"), max_length=255)
    grade = models.PositiveSmallIntegerField(
        _("grade"), validators=[MinValueValidator(0), MaxValueValidator(3)]
    )

    class Meta:
        verbose_name = _("judgement")
        verbose_name_plural = _("judgements")
        constraints = [
            models.UniqueConstraint(
                fields=["document", "query_id", "object_id"], name="llmrec_judgment_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.query} → {self.object_id}: {self.grade}"


class SearchQuality(models.Model):
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


class ImportedItem(models.Model):
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
