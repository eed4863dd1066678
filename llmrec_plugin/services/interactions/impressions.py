"""What became of the lists that were served, as browsers tell."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping

from django.db.models import F, Q
from django.db.models.functions import Least

from llmrec_plugin.models import Impression


def note_seen(user_key: str, seen: Mapping[uuid.UUID, int]) -> int:
    """Remember how many positions of each list came into view; returns how many of the lists are the user's.

    Never less than was reported before, nor more than was delivered; lists of others, and those that were
    stored without a name, are left alone.
    """
    if not user_key:
        return 0
    own = Impression.objects.filter(user_key=user_key, pk__in=seen)
    found = list(own.values_list("pk", flat=True))
    for request_id in found:
        count = seen[request_id]
        rows = Impression.objects.filter(Q(seen=None) | Q(seen__lt=count), pk=request_id, shown__gt=0)
        rows.update(seen=Least(F("shown"), count))
    return len(found)


def of_others(user_key: str, request_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return those of the lists that were stored under the name of somebody else."""
    if not request_ids:
        return set()
    named = Impression.objects.filter(pk__in=request_ids).exclude(user_key__in=("", user_key))
    return set(named.values_list("pk", flat=True))
