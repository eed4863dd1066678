"""Index versions, model versions and the append-only record of which pair is live."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.own import OwnModel


class Dictionary(OwnModel):
    """The site's own words as an index was cut by them, stored once per content."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    content = models.TextField()
    kept_at = models.DateTimeField(auto_now=True)
    """When an index was last begun with it."""

    class Meta:
        verbose_name = _("dictionary")
        verbose_name_plural = _("dictionaries")

    def __str__(self) -> str:
        return self.sha256[:12]


class IndexVersion(OwnModel):
    """One physical index: an encoder, an analysis and a schema; vectors of two versions never mix."""

    class State(models.TextChoices):
        BUILDING = "building", _("building")
        READY = "ready", _("ready")
        DROPPED = "dropped", _("dropped")

    document = models.CharField(_("document"), max_length=100)
    name = models.CharField(_("physical name"), max_length=200, unique=True)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.BUILDING)
    encoder_name = models.CharField(_("encoder"), max_length=255)
    encoder_options = models.JSONField(_("encoder options"), default=dict, blank=True)
    encoder_id = models.CharField(_("encoder identity"), max_length=64)
    dimensions = models.PositiveIntegerField(_("dimensions"))
    analysis_id = models.CharField(_("analysis identity"), max_length=64)
    dictionary = models.ForeignKey(
        Dictionary,
        verbose_name=_("dictionary"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="index_versions",
    )
    schema = models.JSONField(
        _("schema"), help_text=_('{"text_fields": [name], "filters": {name: kind}} as indexed.')
    )
    floor = models.FloatField(
        _("similarity floor"),
        null=True,
        blank=True,
        help_text=_("Least cosine of a meaningful match, measured when the version was built; empty: off."),
    )
    floor_samples = models.JSONField(default=dict, blank=True, editable=False)
    """What the floor was measured on: {"matches": [cosine], "nonsense": [cosine]}."""
    marked_until = models.CharField(max_length=255, blank=True, default="", editable=False)
    marking_done = models.BooleanField(default=False, editable=False)
    total = models.PositiveIntegerField(_("items to index"), default=0)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    ready_at = models.DateTimeField(_("ready"), null=True, blank=True)
    dropped_at = models.DateTimeField(_("dropped"), null=True, blank=True)

    class Meta:
        verbose_name = _("index version")
        verbose_name_plural = _("index versions")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["document"], condition=Q(state="building"), name="llmrec_one_building_version"
            )
        ]

    def __str__(self) -> str:
        return self.name


class ModelArtefact(OwnModel):
    """Learned arrays in safetensors format, stored once per content."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    content = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("model artefact")
        verbose_name_plural = _("model artefacts")

    def __str__(self) -> str:
        return self.sha256[:12]


class ModelVersion(OwnModel):
    """What was learned from the interactions with one document type up to a moment.

    The row stays as history; the arrays go once nobody would go back to them, and `artefact` with them.
    """

    document = models.CharField(_("document"), max_length=100)
    artefact = models.ForeignKey(
        ModelArtefact,
        verbose_name=_("artefact"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="model_versions",
    )
    parent = models.ForeignKey(
        "self",
        verbose_name=_("made from"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="children",
        help_text=_("What was live when it was learned, and what it had to beat."),
    )
    events_since = models.DateTimeField(_("interactions since"), null=True, blank=True)
    events_until = models.DateTimeField(_("interactions until"), null=True, blank=True)
    report = models.JSONField(_("report"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("model version")
        verbose_name_plural = _("model versions")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.document} {self.pk}"


class Deployment(OwnModel):
    """From this moment on, this pair answers for the document; rows are only ever appended."""

    document = models.CharField(_("document"), max_length=100)
    index_version = models.ForeignKey(
        IndexVersion, verbose_name=_("index version"), on_delete=models.PROTECT, related_name="deployments"
    )
    model_version = models.ForeignKey(
        ModelVersion,
        verbose_name=_("model version"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="deployments",
    )
    at = models.DateTimeField(_("at"), auto_now_add=True)
    by = models.CharField(_("by"), max_length=150, help_text=_("User name or command."))
    reason = models.CharField(_("reason"), max_length=255, blank=True, default="")

    class Meta:
        verbose_name = _("deployment")
        verbose_name_plural = _("deployments")
        ordering = ["-id"]
        indexes = [models.Index(fields=["document", "-id"], name="llmrec_deployment_live")]

    def __str__(self) -> str:
        return f"{self.document}: {self.index_version_id}"


class Status(IndexVersion):
    """Gives the admin's status page a place in its menu and a permission of its own."""

    class Meta:
        proxy = True
        verbose_name = _("status")
        verbose_name_plural = _("status")
        default_permissions = ("view",)
