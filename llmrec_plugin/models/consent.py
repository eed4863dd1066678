"""What people agreed to."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


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
