"""The query explorer's place in the admin's menu, and the permission for it."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.configuration import Configuration


class Exploration(Configuration):
    """No rows of its own: who may view it may look at any list as any user."""

    class Meta:
        proxy = True
        verbose_name = _("query explorer")
        verbose_name_plural = _("query explorer")
        default_permissions = ("view",)
