"""What editors decide about lists: which items are pinned, boosted, buried or hidden, where and for whom."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.configuration import UNIT
from llmrec_plugin.models.editions import VersionedRow

LAST_PLACE = 100


class Rule(VersionedRow):
    """One decision: its items, what becomes of them, and the occasions on which it holds."""

    class Action(models.TextChoices):
        PIN = "pin", _("pin to a place")
        BOOST = "boost", _("boost")
        BURY = "bury", _("bury")
        HIDE = "hide", _("hide")

    class Match(models.TextChoices):
        ANY = "any", _("whatever is searched for")
        EXACT = "exact", _("the query is one of the phrases")
        CONTAINS = "contains", _("the query contains one of the phrases")

    class Audience(models.TextChoices):
        EVERYBODY = "everybody", _("everybody")
        ANONYMOUS = "anonymous", _("visitors who have not logged in")
        KNOWN = "known", _("visitors who have logged in")
        NEW = "new", _("visitors of whom nothing is known yet")

    name = models.CharField(_("name"), max_length=100)
    document = models.CharField(_("document"), max_length=100)
    priority = models.PositiveSmallIntegerField(
        _("priority"),
        default=100,
        help_text=_("Where two rules want the same place, the lower number has it."),
    )
    action = models.CharField(_("what is done"), max_length=10, choices=Action.choices)
    items = models.JSONField(
        _("items"), default=list, blank=True, help_text=_("Primary keys; pinned items stand in this order.")
    )
    item_filters = models.JSONField(
        _("all items with"), default=dict, blank=True, help_text=_("Instead of single items.")
    )
    place = models.PositiveSmallIntegerField(
        _("place"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(LAST_PLACE)],
        help_text=_("Pin only: where the first of the items stands, counted from 1."),
    )
    strength = models.FloatField(
        _("strength"),
        default=0.5,
        validators=UNIT,
        help_text=_(
            "Boost and bury only: 0.5 moves an item by half the distance between the best and the worst "
            "score of the list, 1 by all of it."
        ),
    )
    match = models.CharField(_("when"), max_length=10, choices=Match.choices, default=Match.ANY)
    phrases = models.JSONField(_("phrases"), default=list, blank=True)
    list_filters = models.JSONField(
        _("in lists of"),
        default=dict,
        blank=True,
        help_text=_("Only in lists that are confined to these values, such as the page of a category."),
    )
    placements = models.JSONField(
        _("placements"), default=list, blank=True, help_text=_("None: in search and in all recommendations.")
    )
    audience = models.CharField(_("for"), max_length=10, choices=Audience.choices, default=Audience.EVERYBODY)
    starts_at = models.DateTimeField(_("from"), null=True, blank=True)
    ends_at = models.DateTimeField(_("until"), null=True, blank=True)

    class Meta:
        verbose_name = _("rule")
        verbose_name_plural = _("rules")
        ordering = ["priority", "id"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        errors: dict[str, Any] = {}
        if bool(self.items) == bool(self.item_filters):
            errors["items"] = _("Name either single items or what all of them have.")
        elif self.action == self.Action.PIN and not self.items:
            errors["items"] = _("Only single items can be pinned: name them.")
        if self.match != self.Match.ANY and not self.phrases:
            errors["phrases"] = _("Give the phrases, or choose “whatever is searched for”.")
        if self.starts_at and self.ends_at and self.starts_at >= self.ends_at:
            errors["ends_at"] = _("The end lies before the beginning.")
        if errors:
            raise ValidationError(errors)
