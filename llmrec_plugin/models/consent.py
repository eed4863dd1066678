"""What people agreed to, and until when they were erased."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.own import OwnModel


class Consent(OwnModel):
    """A user's own choice; without a row LLMREC["CONSENT"] decides."""

    user_key = models.CharField(_("user"), max_length=100, primary_key=True)
    granted = models.BooleanField(_("granted"))
    at = models.DateTimeField(_("at"), auto_now=True)

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")

    def __str__(self) -> str:
        return self.user_key


class Erasure(OwnModel):
    """Until when the site's own rows, such as orders, tell nothing more of somebody who was erased: else they
    would be events again with the next audit. Whose it is can only be told by who knows the key."""

    digest = models.CharField(max_length=64, primary_key=True)
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")

    def __str__(self) -> str:
        return self.digest
