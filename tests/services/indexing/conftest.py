from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.servers import postgresql

DATABASE = "llmrec_scenario"


@pytest.fixture
def database() -> Iterator[str]:
    """The url of an empty database of PostgreSQL."""
    url = postgresql().url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE}")
        yield url.rpartition("/")[0] + "/" + DATABASE
        connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
