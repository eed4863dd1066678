"""Reads what is known of one user at the moment of a request, and the vector it adds up to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from llmrec_plugin.conf import get_settings
from llmrec_plugin.models import Configuration, IndexVersion
from llmrec_plugin.ranking.profile import Profile, build_profile, item_weights
from llmrec_plugin.services.coordination import caches
from llmrec_plugin.services.inference.item_vectors import vectors_of
from llmrec_plugin.services.interactions import history as interactions
from llmrec_plugin.services.model_registry.adaptation import Adaptation
from llmrec_plugin.services.privacy import consent, derived_data
from llmrec_plugin.types import Event, Vector

TASTE_SECONDS = 600
"""How long a taste is cached; new events and another configuration replace it at once."""


@dataclass(frozen=True, kw_only=True)
class UserContext:
    """A frozen record of the one who asks."""

    key: str = ""
    """Empty: nobody in particular."""
    remembered: bool = False
    """What they are shown may be stored, under their key if there is one."""
    consented: bool = False
    """Their events may be used."""
    events: tuple[Event, ...] = ()
    """With items of the document asked for, newest first; empty without consent."""
    ignoring: frozenset[str] = frozenset()
    """Items that the events leave out, as if the user had never turned to them."""

    def kinds(self, configuration: Configuration) -> dict[str, str]:
        """Map past items that count as liked to the weightiest kind of event with each."""
        kinds: dict[str, str] = {}
        weights = configuration.kind_weights
        for event in self.events:
            best = kinds.get(event.key)
            if best is None or weights.get(event.kind, 0.0) > weights.get(best, 0.0):
                kinds[event.key] = event.kind
        return {key: kind for key, kind in kinds.items() if weights.get(kind, 0.0) > 0}


def load_user(
    user_key: str | None, *, document: str, history: int, ignoring: frozenset[str] = frozenset()
) -> UserContext:
    """Return the user with up to `history` events; at most two queries, none for an anonymous request."""
    settings = get_settings()
    if not user_key:
        return UserContext(remembered=settings.ENABLED and settings.CONSENT == "opt-out")
    if not settings.ENABLED or not consent.may_personalise(user_key):
        return UserContext(key=user_key)
    events: Sequence[Event] = ()
    if history:
        events = interactions.latest_events(user_key, document=document, limit=history, ignoring=ignoring)
    return UserContext(key=user_key, remembered=True, consented=True, events=tuple(events), ignoring=ignoring)


def build_user_profile(
    user: UserContext,
    vectors: Mapping[str, Vector],
    *,
    configuration: Configuration,
    now: datetime,
    adaptation: Adaptation | None = None,
) -> Profile | None:
    """Return the user's taste from those of their events whose items have a vector, as `adaptation` turns
    it."""
    if not user.events:
        return None
    return build_profile(
        user.events,
        vectors,
        now=now,
        half_life=None if adaptation else timedelta(days=configuration.half_life_days),
        kind_weights=configuration.kind_weights,
        recency=adaptation.config.gamma if adaptation else 1.0,
        turn=adaptation.head.directions if adaptation and adaptation.head else None,
    )


def history_weights(
    user: UserContext, *, configuration: Configuration, now: datetime, adaptation: Adaptation | None = None
) -> dict[str, float]:
    """Map past items to how much their neighbours count; items that are not wanted are left out.

    The largest is 1. By `adaptation` an event of the weightiest kind is 1 if it is the latest.
    """
    weights = item_weights(
        user.events,
        now=now,
        half_life=None if adaptation else timedelta(days=configuration.half_life_days),
        kind_weights=configuration.kind_weights,
        recency=adaptation.config.neighbour_gamma if adaptation else 1.0,
    )
    strongest = max((configuration.kind_weights if adaptation else weights).values(), default=0.0)
    return {key: weight / strongest for key, weight in weights.items() if weight > 0}


def cached_taste(
    user: UserContext,
    version: IndexVersion,
    *,
    configuration: Configuration,
    now: datetime,
    adaptation: Adaptation | None = None,
) -> Profile | None:
    """Return the taste, from the site's cache as long as the events and what they are read by are the same.

    Time makes no difference: every event fades alike. What it would be without some of the events is not
    cached.
    """
    if user.ignoring:
        vectors = vectors_of(version, (event.key for event in user.events))
        return build_user_profile(user, vectors, configuration=configuration, now=now, adaptation=adaptation)
    key = derived_data.taste_key(user.key, document=version.document, encoder_id=version.encoder_id)
    state = _state(user, configuration, adaptation)
    known = caches.read([key]).get(key)
    if known is not None and known["state"] == state:
        return _unpacked(known)
    vectors = vectors_of(version, (event.key for event in user.events))
    profile = build_user_profile(user, vectors, configuration=configuration, now=now, adaptation=adaptation)
    if profile is not None:
        caches.write(key, {"state": state, **_packed(profile)}, seconds=TASTE_SECONDS)
    return profile


def _state(user: UserContext, configuration: Configuration, adaptation: Adaptation | None) -> str:
    """Return a text that changes with whatever the taste is made from, the vectors of the items excepted."""
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
