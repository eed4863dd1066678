"""Daily sums over lists, and the page that draws them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.impressions import Impression
from llmrec_plugin.models.own import OwnModel


class Dashboard(Impression):
    """Gives the console's dashboard a place in the admin's menu and a permission of its own."""

    class Meta:
        proxy = True
        verbose_name = _("dashboard")
        verbose_name_plural = _("dashboard")
        default_permissions = ("view",)


class DailyLists(OwnModel):
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
