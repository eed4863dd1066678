"""Which users are to be looked at again, and what is derived of them: marked, announced and forgotten here.

What becomes of the marks is in `profiles`, which reads histories and therefore stands above both consent and
events.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import router, transaction
from django.dispatch import Signal

from llmrec_plugin.models import IndexVersion, UserChange, UserEmbedding
from llmrec_plugin.services.coordination import caches, guarded_writes

changed = Signal()
"""Sent once per commit that marked users, so that receivers can have them refreshed."""
acted = Signal()
"""Sent with `user_keys` when events of these users were stored."""


def mark(user_keys: Iterable[str], *, erase: bool = False) -> int:
    """Have these users looked at again, or erased; returns how many there are."""
    keys = list(dict.fromkeys(key for key in user_keys if key))
    if keys:
        alias = router.db_for_write(UserChange)
        guarded_writes.insert([UserChange(user_key=key, erase=erase) for key in keys], using=alias)
        connection = transaction.get_connection(alias)
        if not any(callback[1] is _send_changed for callback in connection.run_on_commit):
            transaction.on_commit(_send_changed, using=alias, robust=True)
    return len(keys)


def alias() -> str:
    """Return the database that the marks live in."""
    return router.db_for_write(UserChange)


def are_marked() -> bool:
    """Return whether users wait to be looked at."""
    return UserChange.objects.exists()


def _send_changed() -> None:
    changed.send_robust(sender=UserChange)


def taste_key(user_key: str, *, document: str, encoder_id: str) -> str:
    """Return where the user's taste is cached."""
    return caches.cache_key("taste", user_key, document, encoder_id)


def forget(user_keys: Sequence[str]) -> int:
    """Delete what is derived of these users, cached or stored; returns the number of stored vectors."""
    indexed = IndexVersion.objects.order_by().values_list("document", "encoder_id").distinct()
    spaces = list(indexed) if user_keys else []
    caches.forget(
        [
            taste_key(key, document=document, encoder_id=encoder_id)
            for key in user_keys
            for document, encoder_id in spaces
        ]
    )
    UserChange.objects.filter(user_key__in=user_keys, erase=False).delete()
    deleted, _ = UserEmbedding.objects.filter(user_key__in=user_keys).delete()
    return deleted
