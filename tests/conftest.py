"""Every test gets its own data folder, and no process-wide cache outlives a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import override_settings

from tests.support import queries, servers, slow_tests

SLOW = slow_tests.names()
SCENARIO_DATABASE = "llmrec_scenario"

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("tests", parent=hypothesis.settings(), deadline=None)
# The same few examples each time, once per mutant: `make mutation`.
hypothesis.settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    max_examples=25,
    database=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
# On further pairs of Python and Django a few examples tell whether it runs there: `make matrix`.
hypothesis.settings.register_profile("matrix", deadline=None, max_examples=10, database=None)
hypothesis.settings.load_profile("tests")


# `make test-fast`: between two edits.
hypothesis.settings.register_profile("fast", deadline=None, max_examples=5, database=None)


def pytest_itemcollected(item: pytest.Item) -> None:
    if slow_tests.base_name(item.nodeid) in SLOW:
        item.add_marker("slow")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first: side by side, no worker is left alone with one of them at the end."""
    long = {item.path for item in items for name in ("crash", "model") if item.get_closest_marker(name)}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A fresh LLMREC["DATA_DIR"]; changing LLMREC resets the settings, the engine and their caches."""
    with override_settings(LLMREC={**django_settings.LLMREC, "DATA_DIR": str(tmp_path)}):
        cache.clear()
        yield tmp_path
    cache.clear()


@pytest.fixture
def django_assert_num_queries() -> Callable[[int], AbstractContextManager[None]]:
    """As the plugin's own, savepoints aside."""
    return queries.asserting(exact=True)


@pytest.fixture
def django_assert_max_num_queries() -> Callable[[int], AbstractContextManager[None]]:
    """As the plugin's own, savepoints aside."""
    return queries.asserting(exact=False)


@pytest.fixture
def frozen_redis() -> Iterator[servers.Server]:
    """It takes connections, as the system does that for it, and never says a word."""
    with servers.obtained():
        server = servers.new_redis()
    server.start()
    server.freeze()
    yield server
    server.thaw()
    server.discard()


@pytest.fixture
def database() -> Iterator[str]:
    """The url of an empty database of PostgreSQL."""
    import psycopg

    url = servers.postgresql().url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {SCENARIO_DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {SCENARIO_DATABASE}")
        yield url.rpartition("/")[0] + "/" + SCENARIO_DATABASE
        connection.execute(f"DROP DATABASE {SCENARIO_DATABASE} WITH (FORCE)")
