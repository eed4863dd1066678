"""What each request asks first: the configuration and the live pair, remembered as long as they stand.

One short query tells whether they do: it reads the edition of the configuration, the newest row of the
append-only record of what is live, and of its index what somebody may have set by hand.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from django.core.signals import setting_changed
from django.db import connections, router
from django.dispatch import receiver

from llmrec_plugin.models import Configuration, Deployment, IndexVersion
from llmrec_plugin.services.deployment.live import LivePair, live_pair

Mark: TypeAlias = tuple[Any, ...]

_MARK = (
    "SELECT live.id, live.at, live.index_version_id, live.model_version_id,"
    " version.name, version.encoder_name, version.encoder_id, version.analysis_id, version.floor,"
    f" (SELECT edition FROM {Configuration._meta.db_table} WHERE id = 1)"
    f" FROM {Deployment._meta.db_table} AS live"
    f" JOIN {IndexVersion._meta.db_table} AS version ON version.id = live.index_version_id"
    " WHERE live.document = %s ORDER BY live.id DESC LIMIT 1"
)
"""Written out, as composing it from objects takes longer than answering it."""


class RequestSnapshot(NamedTuple):
    """What requests begin with; threads of a process share it, so it is not to be changed."""

    configuration: Configuration
    pair: LivePair


_known: dict[str, tuple[Mark, RequestSnapshot]] = {}


def current_snapshot(label: str) -> RequestSnapshot:
    """Return what `Configuration.current` and `live_pair` do; one query, three after a change. Raises what
    `live_pair` raises."""
    mark = _mark(label)
    known = _known.get(label)
    if mark is not None and known is not None and known[0] == mark:
        return known[1]
    # Read after the mark: whatever changes in between makes another mark, which the next request sees.
    found = RequestSnapshot(Configuration.current(), live_pair(label))
    if mark is not None:
        _known[label] = mark, found
    return found


def _mark(label: str) -> Mark | None:
    """Return what tells one state from another; None where nothing is live."""
    with connections[router.db_for_write(Deployment)].cursor() as cursor:
        cursor.execute(_MARK, [label])
        mark: Mark | None = cursor.fetchone()
    return mark


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == "LLMREC":
        _known.clear()
