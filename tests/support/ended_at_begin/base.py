"""SQLite by which a worker's child that has claimed something is told to end just where a transaction begins,
before Django knows of that."""

from __future__ import annotations

import os
import signal

from billiard.process import current_process
from django.db.backends.sqlite3 import base

CLAIMS = "SELECT count(*) FROM llmrec_plugin_outboxentry WHERE lease_owner LIKE %s"


class DatabaseWrapper(base.DatabaseWrapper):
    def _start_transaction_under_autocommit(self) -> None:
        super()._start_transaction_under_autocommit()  # type: ignore[misc]
        if current_process().daemon and self._has_claims():
            os.kill(os.getpid(), signal.SIGTERM)

    def _has_claims(self) -> bool:
        with self.cursor() as cursor:
            cursor.execute(CLAIMS, [f"%:{os.getpid()}:%"])
            return bool(cursor.fetchone()[0])
