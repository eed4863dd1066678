"""Follows what changes the stored vector of a user: their own rows, and what they do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.db import transaction
from django.db.models import Model

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import UserDocument, registry
from llmrec_plugin.logs import origin
from llmrec_plugin.receivers.dispatch import have_done
from llmrec_plugin.services.privacy import derived_data

logger = logging.getLogger("llmrec_plugin.receivers")


class PeopleFollower:
    """Marks the user whose row was saved or deleted. What it shows of related rows is read at the next
    request: a text that no worker has encoded yet is encoded there."""

    def __init__(self, document: UserDocument[Any]) -> None:
        self.document = document

    def on_change(self, sender: type[Model], *, instance: Model, **kwargs: object) -> None:
        """Mark the user; whatever the site's own code raises on the way fails no save."""
        if self.document not in registry.user_documents:  # it was taken back
            return
        try:
            derived_data.mark([self.document.get_user_key(instance)])
        except Exception as error:
            logger.warning("a user is not followed error=%s", type(error).__name__)


def erase_deleted(sender: type[Model], *, instance: Model, using: str, **kwargs: object) -> None:
    """Have the user erased whose account was deleted, once that is committed and by whoever refreshes users:
    a deletion neither waits for it nor fails with it."""
    if not get_settings().ERASE_DELETED_ACCOUNTS:
        return
    keys = [str(instance.pk), *_own_keys(instance)]
    if using == derived_data.alias():
        _mark_erased(keys)
    else:
        transaction.on_commit(lambda: _mark_erased(keys), using=using, robust=True)


def _mark_erased(keys: list[str]) -> None:
    try:
        derived_data.mark(keys, erase=True)
    except Exception as error:  # the deletion stands; told to whoever reads the log
        logger.error("a deleted account is not erased error=%s at=%s", type(error).__name__, origin(error))


def _own_keys(user: Model) -> Iterator[str]:
    """Yield the keys that documents on the user model itself give them."""
    for document in registry.user_documents:
        if isinstance(user, document.model):
            with suppress(Exception):  # the site's own code
                yield document.get_user_key(user)


def follow_events(*, user_keys: list[str], **kwargs: object) -> None:
    """Where workers cache tastes ahead; without them the next request does it for itself."""
    if get_settings().tasks_run_in in ("celery", "django"):
        derived_data.mark(user_keys)


def dispatch_people(**kwargs: object) -> None:
    """Have users refreshed, where LLMREC["TASKS"] says."""
    have_done("refresh_profiles")
