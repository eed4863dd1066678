"""No order of events leaves an index or a stored vector behind its row: all of them are tried."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from llmrec_plugin.backends import embedded
from llmrec_plugin.services import indexing
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.types import WriteReport
from tests.hostapp.models import Product
from tests.support.interleavings import GONE, STEPS, World, explore


def without(*names: str) -> tuple[str, ...]:
    return tuple(step for step in STEPS if step not in names)


def moved(name: str, *, before: str) -> tuple[str, ...]:
    steps = list(without(name))
    steps.insert(steps.index(before), name)
    return tuple(steps)


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(World(edits=("v1",)), id="a save, a build and a crash"),
        pytest.param(World(edits=(GONE, "v2"), builds=False), id="a delete, a return and a crash"),
        pytest.param(World(edits=("v1", "old"), builds=False), id="a change, a change back and a crash"),
    ],
)
def test_no_order_of_events_leaves_anything_stale(world: World) -> None:
    result = explore(world)
    assert result.stale == ()
    assert result.finals > 0
    assert result.states > 1000


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(
            World(edits=("v1",), steps=moved("revision", before="claim"), crashes=0),
            id="a revision drawn before the claim",
        ),
        pytest.param(
            World(edits=("v1",), steps=moved("revision", before="store"), crashes=0),
            id="a revision drawn after the row was read",
        ),
        pytest.param(
            World(edits=("v1",), steps=moved("versions", before="claim"), crashes=0),
            id="indexes listed before the claim",
        ),
        pytest.param(World(edits=("v1",), guarded=False, crashes=0), id="an index that takes any revision"),
        pytest.param(
            World(edits=("v1", GONE), tombstones=False, builds=False, crashes=0),
            id="an index that forgets what it deleted",
        ),
        pytest.param(
            World(edits=("v1",), steps=without("verify"), crashes=0),
            id="stored vectors that nobody looks at again",
        ),
        pytest.param(
            World(edits=("v1", "v2"), fenced=False, builds=False), id="vectors stored without a lease"
        ),
    ],
)
def test_the_exploration_finds_what_other_ways_get_wrong(world: World) -> None:
    assert explore(world, until_stale=True).stale


class SearchBackend(embedded.SearchBackend):
    """The embedded engine, which leaves a trace in the log of queries when it is written."""

    def write(self, name: str, puts: Any, deletes: Any = ()) -> WriteReport:
        connection.cursor().execute("SELECT 'write'")
        return super().write(name, puts, deletes)


TRACES = {
    "claim": 'UPDATE "llmrec_plugin_outboxentry" SET "lease_owner"',
    "revision": 'INSERT INTO "llmrec_plugin_indexbatch"',
    "versions": 'SELECT "llmrec_plugin_indexversion"',
    "row": 'SELECT "hostapp_product"."id"',
    "store": 'INSERT INTO "llmrec_plugin_embedding"',
    "write": "SELECT 'write'",
    "settle": 'DELETE FROM "llmrec_plugin_outboxentry"',
}


@pytest.mark.django_db
def test_the_drain_goes_in_the_order_that_was_explored() -> None:
    with override_settings(
        LLMREC={**django_settings.LLMREC, "BACKEND": "tests.services.indexing.test_interleavings"}
    ):
        build("product")
        Product.objects.create(title="Lamp")
        with CaptureQueriesContext(connection) as queries:
            indexing.drain()
    statements = [query["sql"] for query in queries.captured_queries]
    first = {
        name: next(number for number, sql in enumerate(statements) if sql.startswith(trace))
        for name, trace in TRACES.items()
    }
    fingerprints = [
        n for n, sql in enumerate(statements) if sql.startswith('SELECT "llmrec_plugin_embedding"')
    ]
    first["verify"] = fingerprints[-1]
    assert tuple(sorted(first, key=first.__getitem__)) == STEPS
    # entries are read before they are leased, and the lease is renewed in the transaction that stores
    renewal = next(
        n for n, sql in enumerate(statements) if sql.startswith(TRACES["claim"].replace("owner", "until"))
    )
    assert statements[renewal - 1].startswith("SAVEPOINT")
    assert first["row"] < renewal < first["store"]
