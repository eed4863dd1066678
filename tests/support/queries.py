"""Queries as a site in autocommit makes them: savepoints are only there for the transaction of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from django.db import connection
from django.test.utils import CaptureQueriesContext


class Queries(CaptureQueriesContext):
    """Captures what is asked within it, savepoints aside."""

    def __init__(self) -> None:
        super().__init__(connection)

    @property
    def captured_queries(self) -> list[dict[str, str]]:
        return [query for query in super().captured_queries if "SAVEPOINT" not in query["sql"]]


def asserting(*, exact: bool) -> Callable[[int], AbstractContextManager[None]]:
    """What the fixtures of pytest-django do: so many queries, or (not `exact`) so many at most."""

    @contextmanager
    def counted(count: int) -> Iterator[None]:
        with Queries() as made:
            yield
        assert len(made) == count if exact else len(made) <= count, "\n".join(
            query["sql"] for query in made.captured_queries
        )

    return counted
