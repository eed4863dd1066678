"""What happens between two statements of the database: another process acts, or somebody presses Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


@contextmanager
def before_statement(part: str, happens: Callable[[], object], *, number: int = 1) -> Iterator[None]:
    """Have it happen once, just before the `number`-th statement that has that part; fail if none comes."""
    seen = 0

    def watched(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        nonlocal seen
        if part in sql:
            seen += 1
            if seen == number:
                happens()
        return execute(sql, *arguments)

    with connection.execute_wrapper(watched):
        yield
    assert seen >= number, f"{seen} statements have {part}"


def ctrl_c() -> None:
    raise KeyboardInterrupt
