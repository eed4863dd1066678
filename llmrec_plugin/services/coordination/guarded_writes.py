"""Rows of ours within a transaction of the site's, written so that a failure cannot break it.

A statement that fails leaves a transaction of PostgreSQL aborted, and Django's own bulk_create has the block
around it rolled back on every database. Here the transaction stays as it was, whatever becomes of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import AutoField, Model
from django.db.models.sql import InsertQuery

ROWS = 50
"""Of one statement: no database takes fewer parameters than these need."""
UNDOES_STATEMENTS = ("sqlite", "mysql", "oracle")
"""Databases where what fails is undone by itself, and the transaction goes on."""


def insert(rows: Sequence[Model], *, using: str) -> None:
    """Insert new rows of one model, ROWS by each statement; raises DatabaseError, and the transaction that is
    open goes on as if nothing had been tried."""
    for start in range(0, len(rows), ROWS):
        chunk = list(rows[start : start + ROWS])
        fields = [field for field in chunk[0]._meta.concrete_fields if not isinstance(field, AutoField)]
        query = InsertQuery(type(chunk[0]))
        query.insert_values(fields, chunk)
        for sql, parameters in query.get_compiler(using=using).as_sql():
            _execute(connections[using], sql, parameters)


def _execute(connection: BaseDatabaseWrapper, sql: str, parameters: Any) -> None:
    if connection.get_autocommit() or connection.vendor in UNDOES_STATEMENTS:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
    elif connection.vendor == "postgresql" and connection.in_atomic_block:
        _execute_in_savepoint(connection, sql, parameters)
    else:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(sql, parameters)


def _execute_in_savepoint(connection: Any, sql: str, parameters: Any) -> None:
    """Take a savepoint, insert and release it in one message to the server, for the save waits for each."""
    name = connection.ops.quote_name("llmrec_guarded")
    statement = connection.ops.compose_sql(sql, parameters)
    with connection.cursor() as cursor:
        try:
            cursor.execute(f"SAVEPOINT {name}; {statement}; RELEASE SAVEPOINT {name}")
        except DatabaseError:
            with suppress(DatabaseError):  # the connection is gone, and the site's transaction with it
                cursor.execute(f"ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")
            raise
