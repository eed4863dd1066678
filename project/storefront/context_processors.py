"""What every page of the storefront shows: the search box, who is looking, and the consent banner."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from llmrec_plugin.visitors import consent_is_open
from project.storefront.middleware import SESSION_KEY
from project.storefront.people import proposed_people


def storefront(request: HttpRequest) -> dict[str, Any]:
    """Nothing outside the storefront: the admin's pages have no use for it."""
    match = request.resolver_match
    if match is None or match.app_name != "storefront":
        return {}
    return {
        "demo": settings.DEMO,
        "viewing_as": request.session.get(SESSION_KEY, "") if settings.DEMO else "",
        "people": proposed_people if settings.DEMO else None,
        "own_names": settings.LANGUAGES,
        "ask_consent": consent_is_open(request),
    }
