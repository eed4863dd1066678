"""Every set of values that the configuration has had: what to compare with, and what to go back to."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.signals import post_save
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from llmrec_plugin import moments
from llmrec_plugin.event_kinds import of_known_kinds
from llmrec_plugin.models.configuration import Configuration
from llmrec_plugin.models.own import OwnModel


class ConfigurationChange(OwnModel):
    """The values from that moment on; written whenever they differ from those before."""

    at = models.DateTimeField(_("at"), default=timezone.now)
    by = models.CharField(_("by"), max_length=150, blank=True, default="")
    values = models.JSONField(_("values"))

    class Meta:
        verbose_name = _("earlier configuration")
        verbose_name_plural = _("earlier configurations")
        ordering = ["-id"]

    def __str__(self) -> str:
        at = date_format(moments.local(self.at), "SHORT_DATETIME_FORMAT")
        return f"{at} {self.by}".strip()

    def known_values(self) -> dict[str, Any]:
        """Return the values of fields, and the weights of kinds of events, that there still are."""
        names = Configuration.tunable()
        known = {name: value for name, value in self.values.items() if name in names}
        if "kind_weights" in known:
            known["kind_weights"] = of_known_kinds(known["kind_weights"])
        return known

    @classmethod
    def note(cls, configuration: Configuration, *, by: str = "") -> ConfigurationChange | None:
        """Remember the values of the configuration, unless they are the latest ones already."""
        values, defaults = _values(configuration), _values(Configuration())
        latest = cls.objects.first()
        if latest is None and values != defaults:  # what counted before anybody saved anything
            latest = cls.objects.create(values=defaults)
        if latest is not None and latest.values == values:
            return None
        return cls.objects.create(values=values, by=by)


def _values(configuration: Configuration) -> dict[str, Any]:
    return {name: getattr(configuration, name) for name in Configuration.tunable()}


def _note(sender: type[Configuration], instance: Configuration, raw: bool, **kwargs: object) -> None:
    if not raw:
        ConfigurationChange.note(instance, by=instance.changed_by)


post_save.connect(_note, sender=Configuration, dispatch_uid="llmrec_plugin.configuration.noted")
