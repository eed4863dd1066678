"""Making a version live from its list: a confirmation that asks why, and a record of who did it."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import ReadOnlyAdmin, page
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.models import Deployment


class PromotingAdmin(ReadOnlyAdmin):
    """Lists versions that can be made live; `promote` does it, `facts` are shown before."""

    title: ClassVar[Any]

    def promote(self, version: Any, *, by: str, reason: str) -> Deployment:
        raise NotImplementedError

    def facts(self, version: Any) -> list[tuple[Any, Any]]:
        """Return (name, value) of what tells this version from others."""
        raise NotImplementedError

    def live_version(self, document: str) -> Model | None:
        """Return the version that answers now."""
        raise NotImplementedError

    def can_promote(self, request: HttpRequest) -> bool:
        return request.user.has_perm("llmrec_plugin.add_deployment")

    def link(self, version: Model) -> SafeString:
        return format_html('<a href="{}">{}</a>', self._url("promote", version.pk), _("Make live …"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.promote_view)
        name = f"llmrec_plugin_{self.opts.model_name}_promote"
        return [path("<int:pk>/promote/", view, name=name), *super().get_urls()]

    def promote_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask first, then promote; the deployment records who did it and why."""
        if not self.can_promote(request):
            raise PermissionDenied
        version = get_object_or_404(self.model, pk=pk)
        if request.method == "POST":
            reason = request.POST.get("reason", "").strip()[:255] or "admin"
            try:
                self.promote(version, by=request.user.get_username(), reason=reason)
            except LlmrecError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                live = _("“%s” is live from the next request on.") % version
                self.message_user(request, live, messages.SUCCESS)
            return HttpResponseRedirect(self._url("changelist"))
        values = {
            "title": self.title,
            "version": version,
            "facts": self.facts(version),
            "live": self.live_version(version.document),
        }
        return page(self, request, "promote", values)

    def _url(self, page: str, *args: object) -> str:
        return reverse(f"admin:llmrec_plugin_{self.opts.model_name}_{page}", args=args)
