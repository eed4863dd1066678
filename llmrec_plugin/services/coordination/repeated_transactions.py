"""Short transactions that are done again where the database could not order them among others."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, IntegrityError, OperationalError, connections, transaction

from llmrec_plugin.models import own

logger = logging.getLogger(__name__)
T = TypeVar("T")

ATTEMPTS = 8
PAUSE_SECONDS = 0.02
"""Before the second attempt, at most; each further one waits up to twice as long."""
_COLLISIONS = {"40001", "40P01", "23505", 1205, 1213, 1062}
"""Serialization failure, deadlock, and a row that another transaction made which this one cannot see yet, as
PostgreSQL and MySQL call them."""


def repeated(work: Callable[[], T]) -> T:
    """Return what `work` does in one transaction, begun anew where it collided with another one's.

    So it goes with SERIALIZABLE, and with deadlocks. Within a transaction of the caller's it is a part of
    that and is not repeated: only the whole could be. Raises what the last attempt raises.
    """
    alias = own.database()
    attempts = 1 if connections[alias].in_atomic_block else ATTEMPTS
    for attempt in range(1, attempts):
        try:
            with transaction.atomic(using=alias):
                return work()
        except (OperationalError, IntegrityError) as error:
            if not _is_collision(error):
                raise
            logger.info("transaction repeated attempt=%d", attempt)
            time.sleep(random.uniform(0.0, PAUSE_SECONDS * 2**attempt))  # noqa: S311  (no secret)
    with transaction.atomic(using=alias):
        return work()


def _is_collision(error: DatabaseError) -> bool:
    cause = error.__cause__
    codes = {getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None), *error.args[:1]}
    return not _COLLISIONS.isdisjoint(codes)
