"""What is known of the user who asks: his consent, his latest events and the taste that they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from llmrec_plugin.conf import get_settings
from llmrec_plugin.models import Configuration
from llmrec_plugin.ranking.profile import Profile, build_profile, item_weights
from llmrec_plugin.services import interactions, privacy
from llmrec_plugin.services.adaptation import Adaptation
from llmrec_plugin.types import Event, Vector


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

    def kinds(self, configuration: Configuration) -> dict[str, str]:
        """Past item -> the weightiest kind of event with it, for the items that count in his favour."""
        kinds: dict[str, str] = {}
        weights = configuration.kind_weights
        for event in self.events:
            best = kinds.get(event.key)
            if best is None or weights.get(event.kind, 0.0) > weights.get(best, 0.0):
                kinds[event.key] = event.kind
        return {key: kind for key, kind in kinds.items() if weights.get(kind, 0.0) > 0}


def know(user_key: str | None, *, document: str, history: int) -> KnownUser:
    """The user with up to `history` events; at most two queries, none for an anonymous request."""
    settings = get_settings()
    if not user_key:
        return KnownUser(remembered=settings.ENABLED and settings.CONSENT == "opt-out")
    if not settings.ENABLED or not privacy.may_personalise(user_key):
        return KnownUser(key=user_key)
    events = interactions.history(user_key, document=document, limit=history) if history else []
    return KnownUser(key=user_key, remembered=True, consented=True, events=tuple(events))


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
        half_life=timedelta(days=configuration.half_life_days),
        kind_weights=configuration.kind_weights,
        recency=adaptation.setup.gamma if adaptation else 1.0,
        turn=adaptation.head.directions if adaptation and adaptation.head else None,
    )


def liked(user: KnownUser, *, configuration: Configuration, now: datetime) -> dict[str, float]:
    """Past item -> how much it counts, the largest at 1; items that he does not want are left out."""
    weights = item_weights(
        user.events,
        now=now,
        half_life=timedelta(days=configuration.half_life_days),
        kind_weights=configuration.kind_weights,
    )
    largest = max(weights.values(), default=0.0)
    return {key: weight / largest for key, weight in weights.items() if weight > 0}
