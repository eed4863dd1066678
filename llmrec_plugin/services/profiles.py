"""What is known of the user who asks: his consent, his latest events and the taste that they show."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.utils import timezone

from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import NotFound
from llmrec_plugin.models import Configuration, IndexVersion, Interaction, UserChange
from llmrec_plugin.ranking.profile import Profile, build_profile, item_weights
from llmrec_plugin.services import caching, interactions, people, privacy, stated
from llmrec_plugin.services.adaptation import Adaptation
from llmrec_plugin.services.learned import adaptation_of
from llmrec_plugin.services.live import live_pair
from llmrec_plugin.services.vectors import vectors_of
from llmrec_plugin.types import Event, Vector

BATCH = 200
TASTE_SECONDS = 600
"""How long a taste is cached; new events and another configuration replace it at once."""


@dataclass(frozen=True, kw_only=True)
class KnownUser:
    """The one who asks."""

    key: str = ""
    """Empty: nobody in particular."""
    remembered: bool = False
    """What he is shown may be stored, under his key if there is one."""
    consented: bool = False
    """His events may be used."""
    events: tuple[Event, ...] = ()
    """With items of the document asked for, newest first; empty without consent."""
    ignoring: frozenset[str] = frozenset()
    """Items that his events leave out: he is looked at as if he had never turned to them."""

    def kinds(self, configuration: Configuration) -> dict[str, str]:
        """Past item -> the weightiest kind of event with it, for the items that count in his favour."""
        kinds: dict[str, str] = {}
        weights = configuration.kind_weights
        for event in self.events:
            best = kinds.get(event.key)
            if best is None or weights.get(event.kind, 0.0) > weights.get(best, 0.0):
                kinds[event.key] = event.kind
        return {key: kind for key, kind in kinds.items() if weights.get(kind, 0.0) > 0}


def know(
    user_key: str | None, *, document: str, history: int, ignoring: frozenset[str] = frozenset()
) -> KnownUser:
    """The user with up to `history` events; at most two queries, none for an anonymous request."""
    settings = get_settings()
    if not user_key:
        return KnownUser(remembered=settings.ENABLED and settings.CONSENT == "opt-out")
    if not settings.ENABLED or not privacy.may_personalise(user_key):
        return KnownUser(key=user_key)
    events: Sequence[Event] = ()
    if history:
        events = interactions.history(user_key, document=document, limit=history, ignoring=ignoring)
    return KnownUser(key=user_key, remembered=True, consented=True, events=tuple(events), ignoring=ignoring)


def taste_of(
    user: KnownUser,
    vectors: Mapping[str, Vector],
    *,
    configuration: Configuration,
    now: datetime,
    adaptation: Adaptation | None = None,
) -> Profile | None:
    """The user's taste from those of his events whose items have a vector, as `adaptation` turns it."""
    if not user.events:
        return None
    return build_profile(
        user.events,
        vectors,
        now=now,
        half_life=None if adaptation else timedelta(days=configuration.half_life_days),
        kind_weights=configuration.kind_weights,
        recency=adaptation.setup.gamma if adaptation else 1.0,
        turn=adaptation.head.directions if adaptation and adaptation.head else None,
    )


def liked(
    user: KnownUser, *, configuration: Configuration, now: datetime, adaptation: Adaptation | None = None
) -> dict[str, float]:
    """Past item -> how much its neighbours count; items that he does not want are left out.

    The largest is 1. By `adaptation` an event of the weightiest kind is 1 if it is the latest.
    """
    weights = item_weights(
        user.events,
        now=now,
        half_life=None if adaptation else timedelta(days=configuration.half_life_days),
        kind_weights=configuration.kind_weights,
        recency=adaptation.setup.also_gamma if adaptation else 1.0,
    )
    strongest = max((configuration.kind_weights if adaptation else weights).values(), default=0.0)
    return {key: weight / strongest for key, weight in weights.items() if weight > 0}


def cached_taste(
    user: KnownUser,
    version: IndexVersion,
    *,
    configuration: Configuration,
    now: datetime,
    adaptation: Adaptation | None = None,
) -> Profile | None:
    """As `taste_of`, from the site's cache as long as his events and what they are read by are the same.

    Time makes no difference: every event fades alike. What it would be without some of his events is not
    cached.
    """
    if user.ignoring:
        vectors = vectors_of(version, (event.key for event in user.events))
        return taste_of(user, vectors, configuration=configuration, now=now, adaptation=adaptation)
    key = people.taste_key(user.key, document=version.document, encoder_id=version.encoder_id)
    state = _state(user, configuration, adaptation)
    known = caching.read([key]).get(key)
    if known is not None and known["state"] == state:
        return _unpacked(known)
    vectors = vectors_of(version, (event.key for event in user.events))
    profile = taste_of(user, vectors, configuration=configuration, now=now, adaptation=adaptation)
    if profile is not None:
        caching.write(key, {"state": state, **_packed(profile)}, seconds=TASTE_SECONDS)
    return profile


def _state(user: KnownUser, configuration: Configuration, adaptation: Adaptation | None) -> str:
    """Changes with whatever the taste is made from, the vectors of the items excepted."""
    events = [(event.key, event.kind, event.at.isoformat(), event.value) for event in user.events]
    weights = sorted(configuration.kind_weights.items())
    made_from = [events, configuration.half_life_days, weights, adaptation.fingerprint if adaptation else ""]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()


def _packed(profile: Profile) -> dict[str, Any]:
    return {
        "keys": list(profile.keys),
        "disliked": sorted(profile.disliked),
        "parts": profile.parts.astype("<f4").tobytes(),
    }


def _unpacked(packed: Mapping[str, Any]) -> Profile:
    parts = np.frombuffer(packed["parts"], dtype="<f4").astype(np.float32, copy=False)
    return Profile(
        keys=tuple(packed["keys"]),
        parts=parts.reshape(len(packed["keys"]), -1),
        disliked=frozenset(packed["disliked"]),
    )


@dataclass(frozen=True, kw_only=True)
class RefreshReport:
    """Sums of a refresh."""

    users: int = 0
    """Looked at, each once, however often he was marked."""
    encoded: int = 0
    """Texts that an encoder read."""


def refresh(*, seconds: float = math.inf) -> RefreshReport:
    """Encode what the marked users say of themselves, and cache the tastes that their events show; returns
    when no mark is left, or with the batch that is under way after so many seconds.

    Any number of processes may do so at once. Raises what loading an encoder raises; then the marks stay.
    """
    report = RefreshReport()
    end = time.monotonic() + seconds
    while marks := _marks():
        report = _refresh(list(dict.fromkeys(marks.values())), report)
        UserChange.objects.filter(pk__in=marks).delete()
        if time.monotonic() > end:
            break
    if keys := stated.outdated(BATCH):
        report = _refresh(keys, report)
    return report


def _marks() -> dict[int, str]:
    return dict(UserChange.objects.order_by("id").values_list("id", "user_key")[:BATCH])


def _refresh(user_keys: list[str], report: RefreshReport) -> RefreshReport:
    encoded = stated.refresh(user_keys)
    configuration = Configuration.current()
    rows = Interaction.objects.filter(user_key__in=user_keys).order_by()
    for key, label in rows.values_list("user_key", "document").distinct():
        user = know(key, document=label, history=configuration.history_length)
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
