"""Named lists of pages as editors turn them: a row replaces the setting or built-in list of its name."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.configuration import UNIT
from llmrec_plugin.models.editions import VersionedRow

MAX_FRESH = 0.5


class Placement(VersionedRow):
    """What a page shows under one name: which type of list, of what, and what fills it where that is too few.

    The types are those that are registered, so that a new one needs no migration.
    """

    name = models.CharField(
        _("name"),
        max_length=50,
        unique=True,
        validators=[RegexValidator(r"^[-a-zA-Z0-9_]+$", _("Use letters, digits, hyphens and underscores."))],
        help_text=_("As pages ask for it; the name of a setting or of a built-in placement replaces that."),
    )
    type = models.CharField(_("type"), max_length=30)
    document = models.CharField(
        _("document"), max_length=100, blank=True, default="", help_text=_("Empty: as the page asks.")
    )
    limit = models.PositiveSmallIntegerField(
        _("items"), default=12, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    filters = models.JSONField(_("only"), default=dict, blank=True)
    hide = models.JSONField(
        _("leave out"),
        default=list,
        blank=True,
        help_text=_("What the visitor has done this with; what they dismissed never shows."),
    )
    anchor = models.JSONField(
        _("because of"),
        default=list,
        blank=True,
        help_text=_("Because you viewed: what counts as turning to an item. None chosen: all of it."),
    )
    diversity = models.FloatField(
        _("diversity"),
        null=True,
        blank=True,
        validators=UNIT,
        help_text=_(
            "How strongly an item is held back for resembling those above it. Empty: as configured for “for "
            "you”, none for other types."
        ),
    )
    fresh = models.FloatField(
        _("reserved for new items"),
        default=0.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(MAX_FRESH)],
        help_text=_("Share of the places, from 0 to 0.5: 0.2 keeps every fifth place for the newest items."),
    )
    fallback = models.JSONField(
        _("filled up with"),
        default=list,
        blank=True,
        help_text=_("In this order, where the list is too short; the latest items always come last."),
    )

    class Meta:
        verbose_name = _("placement")
        verbose_name_plural = _("placements")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
