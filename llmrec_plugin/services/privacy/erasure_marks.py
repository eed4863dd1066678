"""Until when the site's own rows tell nothing more of users who were erased."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import router
from django.utils import timezone
from django.utils.crypto import salted_hmac

from llmrec_plugin.documents import registry
from llmrec_plugin.models import Erasure

SALT = "llmrec_plugin.erasure"


def remember(user_key: str) -> None:
    """Note that the user was erased now; only where rows of the site could bring back what is gone."""
    if registry.interaction_sources:
        rows = Erasure.objects.using(router.db_for_write(Erasure))
        rows.update_or_create(digest=_digest(user_key), defaults={"at": timezone.now()})


def erased_until(user_keys: Collection[str]) -> dict[str, datetime]:
    """Return, of those of the users who were erased, when that was; one query at most."""
    digests = {_digest(key): key for key in user_keys}
    if not digests:
        return {}
    rows = Erasure.objects.using(router.db_for_write(Erasure)).filter(digest__in=digests)
    return {digests[digest]: at for digest, at in rows.values_list("digest", "at")}


def forget_before(oldest: datetime) -> int:
    """Delete the notes that no event is old enough for any more."""
    deleted, _ = Erasure.objects.using(router.db_for_write(Erasure)).filter(at__lt=oldest).delete()
    return deleted


def _digest(user_key: str) -> str:
    return salted_hmac(SALT, user_key, algorithm="sha256").hexdigest()
