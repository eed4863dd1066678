"""The visitor behind a request, and what they do."""

from __future__ import annotations

import re
import uuid

from django.http import HttpRequest

from llmrec_plugin import visitors
from llmrec_plugin.services import interactions


def note(request: HttpRequest, document: str, item_id: object, kind: str) -> bool:
    """Record what the visitor did with an item; where they came from a list of ours, tied to that list.

    Staff and crawlers are left out, and so is whoever gave no consent.
    """
    if visitors.is_left_out(request):
        return False
    key = visitors.ensure_user_key(request)
    if key is None:
        return False
    list_id = _list_id(request)
    position = request.GET.get("at", "")
    return interactions.record(
        user_key=key,
        document=document,
        item_id=item_id,
        kind=kind,
        request_id=list_id,
        position=int(position) if list_id and re.fullmatch(r"\d{1,4}", position, re.ASCII) else None,
        # Loading the page again is not a second event of this visitor.
        event_id=f"{list_id}:{item_id}:{key[-12:]}" if list_id else None,
    )


def _list_id(request: HttpRequest) -> uuid.UUID | None:
    """The list that the followed link stood in; an address that was tampered with names none."""
    try:
        return uuid.UUID(request.GET.get("list", ""))
    except ValueError:
        return None
