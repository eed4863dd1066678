"""What a user agreed to, and the marks that follow from a change of mind."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TypeVar

from django.db import transaction
from django.db.models import QuerySet

from llmrec_plugin.analysis.text import is_storable
from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import ArmAssignment, Consent, Impression, Interaction, own
from llmrec_plugin.services.privacy import derived_data

logger = logging.getLogger(__name__)
R = TypeVar("R", Interaction, Impression)
MAX_USER_KEY = 100


def may_personalise(user_key: str | None) -> bool:
    """Return whether events of this user may be stored and used; one query at most."""
    return bool(user_key) and bool(consenting([str(user_key)]))


def consenting(user_keys: Iterable[str]) -> set[str]:
    """Return those of the users whose events may be stored and used, by LLMREC["CONSENT"]; one query at
    most."""
    keys = set(user_keys)
    mode = get_settings().CONSENT
    if mode == "off" or not keys:
        return set()
    chosen = dict(Consent.objects.filter(user_key__in=keys).values_list("user_key", "granted"))
    return {key for key in keys if chosen.get(key, mode == "opt-out")}


def consented(rows: QuerySet[R]) -> QuerySet[R]:
    """Return the part of these interactions or impressions that may be learned from; lists of nobody in
    particular are kept where nobody is asked first."""
    mode = get_settings().CONSENT
    if mode == "off":
        return rows.none()
    if mode == "opt-in":
        return rows.filter(user_key__in=Consent.objects.filter(granted=True).values("user_key"))
    return rows.exclude(user_key__in=Consent.objects.filter(granted=False).values("user_key"))


def consent_of(user_key: str) -> bool | None:
    """Return the user's recorded choice; None: none yet, so LLMREC["CONSENT"] decides."""
    return Consent.objects.filter(user_key=user_key).values_list("granted", flat=True).first()


def set_consent(user_key: str, *, granted: bool) -> None:
    """Record the user's choice. A refusal stops all use at once, drops what was derived of them and keeps
    their events until `erase_user` or retention removes them."""
    check_user_key(user_key)
    with transaction.atomic(using=own.database()):
        Consent.objects.update_or_create(user_key=user_key, defaults={"granted": granted})
        if granted:
            derived_data.mark([user_key])
        else:
            drop_derived(user_key)
    logger.info("consent granted=%s", granted)


def drop_derived(user_key: str) -> None:
    """Delete what follows from the user's events and words: tastes, vectors and places in experiments."""
    derived_data.forget([user_key])
    ArmAssignment.objects.filter(user_key=user_key).delete()


def check_user_key(user_key: str) -> None:
    """Raise InvalidRequest unless the key can be stored."""
    if not user_key or len(user_key) > MAX_USER_KEY:
        raise InvalidRequest(
            f"A user key has 1 to {MAX_USER_KEY} characters, this one has {len(user_key)}.",
            parameter="user_key",
        )
    if not is_storable(user_key):
        raise InvalidRequest("A user key is a text without NUL and broken characters.", parameter="user_key")
