"""Keeps users' stored vectors up to date with what they did."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass, replace

from django.utils import timezone

from llmrec_plugin.exceptions import NotFound
from llmrec_plugin.models import Configuration, Interaction, UserChange
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.model_registry.artefacts import adaptation_of
from llmrec_plugin.services.privacy.erasure import erase_marked
from llmrec_plugin.services.profiles import declared_interests
from llmrec_plugin.services.profiles.taste import cached_taste, load_user

BATCH = 200


@dataclass(frozen=True, kw_only=True)
class RefreshReport:
    """A frozen record of the sums of a refresh."""

    users: int = 0
    """Looked at, each once, however often they were marked."""
    encoded: int = 0
    """Texts that an encoder read."""


def refresh(*, seconds: float = math.inf) -> RefreshReport:
    """Erase users whose accounts are gone; encode what the marked users say of themselves, and cache the
    tastes that their events show.

    Returns when no mark is left, or with the batch that is under way after so many seconds.
    Any number of processes may do so at once. Raises what loading an encoder raises; then the marks stay.
    """
    report = RefreshReport()
    erase_marked()
    end = time.monotonic() + seconds
    while marks := _marks():
        report = _refresh(list(dict.fromkeys(marks.values())), report)
        UserChange.objects.filter(pk__in=marks).delete()
        if time.monotonic() > end:
            break
    if keys := declared_interests.outdated(BATCH):
        report = _refresh(keys, report)
    return report


def _marks() -> dict[int, str]:
    return dict(UserChange.objects.filter(erase=False).order_by("id").values_list("id", "user_key")[:BATCH])


def _refresh(user_keys: list[str], report: RefreshReport) -> RefreshReport:
    encoded = declared_interests.refresh(user_keys)
    configuration = Configuration.current()
    rows = Interaction.objects.filter(user_key__in=user_keys).order_by()
    for key, label in rows.values_list("user_key", "document").distinct():
        user = load_user(key, document=label, history=configuration.history_length)
        if not user.events:
            continue
        with suppress(NotFound):  # no longer declared, or not built
            pair = live_pair(label)
            cached_taste(
                user,
                pair.index_version,
                configuration=configuration,
                now=timezone.now(),
                adaptation=adaptation_of(pair, configuration),
            )
    return replace(report, users=report.users + len(user_keys), encoded=report.encoded + encoded)
