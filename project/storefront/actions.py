"""What a visitor does rather than reads: all by POST, each answers with the page they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_POST, require_safe

from llmrec_plugin.documents import registry
from llmrec_plugin.services import interactions, privacy
from llmrec_plugin.visitors import current_user_key, ensure_user_key, give_key, take_key
from project.school.models import Course, Enrolment
from project.storefront.forms import ViewAsForm
from project.storefront.middleware import SESSION_KEY
from project.storefront.visitors import note

LATEST = 30
"""Events shown on the page about one's data."""


def _back(request: HttpRequest) -> HttpResponse:
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return redirect(target if safe else "storefront:home")


@require_POST
def view_as(request: HttpRequest) -> HttpResponse:
    """Look at the demo as a sample user, or as oneself again."""
    if not settings.DEMO:
        raise Http404
    form = ViewAsForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(map(str, form.errors["username"])))
    elif form.cleaned_data["username"]:
        request.session[SESSION_KEY] = form.cleaned_data["username"]
    else:
        request.session.pop(SESSION_KEY, None)
    return _back(request)


@require_POST
def act(request: HttpRequest, document: str, key: str, kind: str) -> HttpResponse:
    """Put an item in the basket, or say that it is of no interest."""
    item = registry.get(document).in_bulk([key]).get(key)
    if item is None:
        raise Http404
    if not note(request, document, item.pk, kind):
        messages.info(request, _("Not remembered: you have not agreed to it, or you are staff."))
    elif kind == "cart":
        messages.success(request, _("“%(title)s” is in the basket.") % {"title": item.title})
    else:
        messages.success(request, _("“%(title)s” will not be proposed again.") % {"title": item.title})
    response = _back(request)
    give_key(request, response)
    return response


@require_POST
def enrol(request: HttpRequest, code: str) -> HttpResponse:
    """Enrol the learner; the plugin follows the new row by itself."""
    course = get_object_or_404(Course, pk=code)
    learner = getattr(request.user, "learner", None)
    if learner is None:
        raise Http404
    Enrolment.objects.get_or_create(learner=learner, course=course, defaults={"created": timezone.now()})
    messages.success(request, _("You are enrolled in “%(title)s”.") % {"title": course.title})
    return redirect(course)


@require_POST
def consent(request: HttpRequest) -> HttpResponse:
    """Record whether what the visitor does may be remembered."""
    key = ensure_user_key(request)
    if key is None:
        raise Http404
    granted = request.POST.get("granted") == "1"
    privacy.set_consent(key, granted=granted)
    messages.success(
        request,
        _("Your lists follow what you do here.") if granted else _("Nothing you do here is remembered."),
    )
    response = _back(request)
    give_key(request, response)
    return response


@require_POST
def erase(request: HttpRequest) -> HttpResponse:
    """Delete all that is kept about the visitor; a user who had refused stays refused."""
    key, stays = current_user_key(request), request.user.is_authenticated
    erased = privacy.erase_user(key, keep_refusal=stays).interactions if key else 0
    messages.success(
        request,
        ngettext("%(count)d event about you is deleted.", "%(count)d events about you are deleted.", erased)
        % {"count": erased},
    )
    response = redirect("storefront:your-data")
    take_key(response)
    return response


@require_safe
@cache_control(private=True)
def your_data(request: HttpRequest) -> HttpResponse:
    """What is kept about the visitor, in their own words."""
    key = current_user_key(request)
    kept = privacy.export_user(key) if key else {"interactions": [], "impressions": []}
    events = kept["interactions"]
    context = {
        "key": key,
        "remembered": privacy.may_personalise(key) if key else None,
        "total": len(events),
        "lists": len(kept["impressions"]),
        "events": _told(events[::-1][:LATEST]),
    }
    return render(request, "storefront/your_data.html", context)


def _told(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The events with the verb, title and address that a reader needs; items may have vanished since."""
    verbs = interactions.kind_labels()
    items: dict[tuple[str, str], Any] = {}
    for document in registry:
        keys = {event["item_id"] for event in events if event["document"] == document.label}
        for key, obj in document.in_bulk(sorted(keys)).items():
            items[document.label, key] = obj
    told = []
    for event in events:
        obj = items.get((event["document"], event["item_id"]))
        told.append({**event, "verb": verbs[event["kind"]], "item": obj})
    return told
