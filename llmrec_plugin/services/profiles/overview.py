"""Tells what is known of one user, as the console may show it: nothing that they have refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from llmrec_plugin.documents import registry
from llmrec_plugin.models import Configuration, UserEmbedding
from llmrec_plugin.services.deployment.live import find_live_pair
from llmrec_plugin.services.model_registry.artefacts import adaptation_of
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.services.profiles import taste as profiles
from llmrec_plugin.types import Event


@dataclass(frozen=True, kw_only=True)
class DocumentOverview:
    """A frozen record of what a user did with the items of one document, and what of it counts as liking."""

    document: str
    events: tuple[Event, ...]
    """The latest that are used, newest first."""
    weights: Mapping[str, float]
    """Item -> how much it counts, strongest first; the largest is about 1."""
    titles: Mapping[str, str]
    """Of the items that still exist."""

    @property
    def liked(self) -> list[tuple[str, float]]:
        return [(self.titles.get(key, key), weight) for key, weight in self.weights.items()]

    @property
    def history(self) -> list[tuple[Event, str]]:
        return [(event, self.titles.get(event.key, event.key)) for event in self.events]


@dataclass(frozen=True, kw_only=True)
class UserOverview:
    """A frozen record of what is known of one user."""

    user_key: str
    choice: bool | None
    """What they said to being remembered; None: nothing, so LLMREC["CONSENT"] decides."""
    consented: bool
    """What they did may be used; otherwise there is nothing more here."""
    has_declared_interests: bool = False
    """What they say about themselves has been encoded."""
    tastes: tuple[DocumentOverview, ...] = ()
    """Of documents with events of theirs."""


def user_overview(user_key: str, *, now: datetime | None = None) -> UserOverview:
    """Return what is known of the user: after a refusal, their consent alone.

    It takes some queries for each document that they did something with.
    """
    now = now or timezone.now()
    choice = consent.consent_of(user_key)
    if not consent.may_personalise(user_key):
        return UserOverview(user_key=user_key, choice=choice, consented=False)
    configuration = Configuration.current()
    tastes = (_taste(user_key, label, configuration, now) for label in registry.labels())
    return UserOverview(
        user_key=user_key,
        choice=choice,
        consented=True,
        has_declared_interests=UserEmbedding.objects.filter(user_key=user_key).exists(),
        tastes=tuple(taste for taste in tastes if taste.events),
    )


def _taste(user_key: str, label: str, configuration: Configuration, now: datetime) -> DocumentOverview:
    user = profiles.load_user(user_key, document=label, history=configuration.history_length)
    if not user.events:
        return DocumentOverview(document=label, events=(), weights={}, titles={})
    pair = find_live_pair(label)
    weights = profiles.history_weights(
        user,
        configuration=configuration,
        now=now,
        adaptation=adaptation_of(pair, configuration) if pair else None,
    )
    document = registry.get(label)
    objects = document.in_bulk(list(dict.fromkeys(event.key for event in user.events)))
    return DocumentOverview(
        document=label,
        events=user.events,
        weights=dict(sorted(weights.items(), key=lambda entry: (-entry[1], entry[0]))),
        titles={key: document.get_title(obj) for key, obj in objects.items()},
    )
