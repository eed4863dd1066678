"""Handlers that cannot fail what they follow: whatever they raise is logged, and told by health."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db.models import Model

from llmrec_plugin.services.coordination import missed_changes
from llmrec_plugin.services.indexing import routes


def harmless(handler: Callable[..., None]) -> Callable[..., None]:
    """Have the site's own save, delete or change of a relation go on, whatever the handler raises."""

    @wraps(handler)
    def follow(sender: type[Model], **kwargs: Any) -> None:
        try:
            handler(sender, **kwargs)
        except Exception as error:  # descriptors of other packages, the database, whatever it may be
            missed_changes.note(routes.labels_of(sender), error, model=sender._meta.label)

    return follow
