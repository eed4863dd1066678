"""Experiments: what is compared with what is live, where, since when, and what came of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from llmrec_plugin.models.configuration import Configuration, check_kind_weights, nearest_known
from llmrec_plugin.models.own import OwnModel


def new_salt() -> str:
    return secrets.token_hex(8)


class Experiment(OwnModel):
    """One question to the visitors of one list."""

    class Method(models.TextChoices):
        SPLIT = "split", _("A/B: each visitor sees one arm")
        INTERLEAVING = "interleaving", _("interleaving: both lists in one, clicks decide")

    class Metric(models.TextChoices):
        CLICKS = "clicks", _("lists that lead to a click")
        CONVERSION = "conversion", _("visitors who buy or enrol")

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        RUNNING = "running", _("running")
        STOPPED = "stopped", pgettext_lazy("state of an experiment", "stopped")

    name = models.CharField(_("name"), max_length=100)
    document = models.CharField(_("document"), max_length=100)
    placement = models.CharField(
        _("placement"), max_length=50, default="search", help_text=_('"search" or the placement\'s name.')
    )
    method = models.CharField(_("method"), max_length=12, choices=Method.choices, default=Method.SPLIT)
    metric = models.CharField(_("what decides"), max_length=10, choices=Metric.choices, default=Metric.CLICKS)
    lift = models.FloatField(
        _("change worth finding"),
        default=0.1,
        validators=[MinValueValidator(0.005), MaxValueValidator(10.0)],
        help_text=_("Relative to the control: 0.1 is a tenth more or less. Smaller ones need more visitors."),
    )
    state = models.CharField(_("state"), max_length=7, choices=State.choices, default=State.DRAFT)
    salt = models.CharField(max_length=32, default=new_salt, editable=False)
    expected_rate = models.FloatField(
        _("expected rate"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("Of the control, at the start."),
    )
    planned_visitors = models.PositiveIntegerField(
        _("visitors needed per arm"), null=True, blank=True, editable=False
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True, editable=False)
    started_by = models.CharField(_("started by"), max_length=150, blank=True, default="", editable=False)
    stopped_at = models.DateTimeField(_("stopped"), null=True, blank=True, editable=False)
    stopped_by = models.CharField(_("stopped by"), max_length=150, blank=True, default="", editable=False)
    adopted = models.CharField(
        _("adopted"), max_length=50, blank=True, default="", editable=False, help_text=_("Name of the arm.")
    )

    class Meta:
        verbose_name = _("experiment")
        verbose_name_plural = _("experiments")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["document", "placement"],
                condition=Q(state="running"),
                name="llmrec_one_running_experiment",
                violation_error_message=_("Another experiment is running on this list: stop it first."),
            )
        ]

    def __str__(self) -> str:
        return self.name


class Arm(OwnModel):
    """One of the answers that are compared; what it leaves open is as it is live."""

    experiment = models.ForeignKey(
        Experiment, verbose_name=_("experiment"), on_delete=models.CASCADE, related_name="arms"
    )
    name = models.CharField(_("name"), max_length=50)
    is_control = models.BooleanField(
        _("control"), default=False, help_text=_("What is live now; the others are compared with it.")
    )
    share = models.PositiveSmallIntegerField(
        _("share of visitors"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text=_("Beside the shares of the other arms: 1 and 1 are halves, 9 and 1 nine tenths and one."),
    )
    overrides = models.JSONField(
        _("configuration"),
        default=dict,
        blank=True,
        help_text=_('What differs from the live configuration, as {"text_weight": 0.3}.'),
    )
    placement = models.CharField(
        _("placement instead"),
        max_length=50,
        blank=True,
        default="",
        help_text=_("Name of the placement whose list is shown in place of the one that is asked for."),
    )
    index_version = models.ForeignKey(
        "llmrec_plugin.IndexVersion",
        verbose_name=_("index version"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="arms",
        help_text=_("A ready one, with its encoder; empty: the live one."),
    )
    model_version = models.ForeignKey(
        "llmrec_plugin.ModelVersion",
        verbose_name=_("model version"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="arms",
        help_text=_("Empty: the live one."),
    )

    class Meta:
        verbose_name = _("arm")
        verbose_name_plural = _("arms")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "name"], name="llmrec_arm_name"),
            models.UniqueConstraint(
                fields=["experiment"], condition=Q(is_control=True), name="llmrec_one_control"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        changes = bool(self.overrides or self.placement or self.index_version_id or self.model_version_id)
        if self.is_control and changes:
            raise ValidationError({"is_control": _("The control is what is live: it changes nothing.")})
        if not self.is_control and not changes:
            raise ValidationError(_("Say what this arm changes; otherwise it is the control once more."))
        check_overrides(self.overrides)


def check_overrides(overrides: Any) -> None:
    """Raises ValidationError, naming the field, for what the configuration would not take."""
    if not isinstance(overrides, Mapping):
        raise ValidationError({"overrides": _('Give an object, as {"text_weight": 0.3}.')})
    known = Configuration.tunable()
    for name in overrides:
        if name not in known:
            text = _("There is no setting “%(name)s”. Known: %(known)s.")
            message = text % {"name": name, "known": ", ".join(known)} + nearest_known(name, known)
            raise ValidationError({"overrides": message})
    try:
        if "kind_weights" in overrides:
            check_kind_weights(overrides["kind_weights"], whole=False)
        Configuration.current().with_overrides(overrides).full_clean(validate_unique=False)
    except ValidationError as error:
        wrong = [
            f"{name}: {' '.join(messages)}"
            for name, messages in error.message_dict.items()
            if name in overrides
        ]
        if wrong:
            raise ValidationError({"overrides": wrong}) from None


class ArmAssignment(OwnModel):
    """A user who keeps the arm that they saw as a visitor, before they logged in and their key changed."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="assignments")
    arm = models.ForeignKey(Arm, on_delete=models.CASCADE, related_name="assignments")
    user_key = models.CharField(_("user"), max_length=100)

    class Meta:
        verbose_name = _("assignment to an arm")
        verbose_name_plural = _("assignments to arms")
        constraints = [
            models.UniqueConstraint(fields=["user_key", "experiment"], name="llmrec_arm_assignment_unique")
        ]

    def __str__(self) -> str:
        return str(self.arm_id)
