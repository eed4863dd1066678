"""How learning went: trainings with their outcomes, choices of search weights with their proofs, and
measurements of how far the site moved on."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.own import OwnModel


class TrainingRun(OwnModel):
    """One attempt to learn anew, or to tune the encoder; what answers changes only when it is done."""

    class Kind(models.TextChoices):
        TRAINING = "training", _("training")
        TUNING = "tuning", _("tuning of the encoder")

    class State(models.TextChoices):
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    document = models.CharField(_("document"), max_length=100)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices, default=Kind.TRAINING)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.RUNNING)
    by = models.CharField(_("by"), max_length=150, help_text=_("User name or command."))
    reason = models.CharField(_("reason"), max_length=255, blank=True, default="")
    owner = models.CharField(max_length=64, editable=False)
    erased = models.PositiveIntegerField(
        _("erased meanwhile"), default=0, help_text=_("Users erased since it began, whom it may have read.")
    )
    error = models.TextField(_("error"), blank=True, default="")
    model_version = models.ForeignKey(
        "llmrec_plugin.ModelVersion",
        verbose_name=_("model version"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="training_runs",
    )
    started_at = models.DateTimeField(_("started"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("training")
        verbose_name_plural = _("trainings")
        ordering = ["-id"]
        indexes = [models.Index(fields=["document", "-id"], name="llmrec_training_latest")]
        constraints = [
            models.UniqueConstraint(
                fields=["document"], condition=Q(state="running"), name="llmrec_one_running_training"
            )
        ]

    def __str__(self) -> str:
        return f"{self.document} {self.pk}"


class DriftReport(OwnModel):
    """How far what people do has moved from what the live model learned from."""

    class Level(models.TextChoices):
        STEADY = "steady", _("as learned")
        WARN = "warn", _("drifting")
        RERUN = "rerun", _("to be learned anew")

    document = models.CharField(_("document"), max_length=100)
    model_version = models.ForeignKey(
        "llmrec_plugin.ModelVersion",
        verbose_name=_("model version"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="drift_reports",
    )
    level = models.CharField(_("level"), max_length=10, choices=Level.choices)
    report = models.JSONField(_("report"), default=dict)
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("drift report")
        verbose_name_plural = _("drift reports")
        ordering = ["-id"]
        indexes = [models.Index(fields=["document", "-id"], name="llmrec_drift_latest")]

    def __str__(self) -> str:
        return f"{self.document} {self.pk}"


class SearchWeightRun(OwnModel):
    """One look for better weights of search, with its proof, or why nothing changed."""

    document = models.CharField(_("document"), max_length=100)
    adopted = models.BooleanField(_("weights changed"), default=False)
    by = models.CharField(_("by"), max_length=150, help_text=_("User name or command."))
    report = models.JSONField(_("report"), default=dict)
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("search weight run")
        verbose_name_plural = _("search weight runs")
        ordering = ["-id"]
        indexes = [models.Index(fields=["document", "-id"], name="llmrec_search_weights_latest")]

    def __str__(self) -> str:
        return f"{self.document} {self.pk}"
