"""Follows what changes the stored vector of a user: their own rows, and what they do."""

from __future__ import annotations

import logging
from typing import Any

from django.db.models import Model

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import UserDocument
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
        try:
            derived_data.mark([self.document.get_user_key(instance)])
        except Exception as error:
            logger.warning("a user is not followed error=%s", type(error).__name__)


def follow_events(*, user_keys: list[str], **kwargs: object) -> None:
    """Where workers cache tastes ahead; without them the next request does it for itself."""
    if get_settings().tasks_run_in in ("celery", "django"):
        derived_data.mark(user_keys)


def dispatch_people(**kwargs: object) -> None:
    """Have users refreshed, where LLMREC["TASKS"] says."""
    have_done("refresh_profiles")
