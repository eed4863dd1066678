"""No order of saves, late writes of the site and drains leaves a stale vector in the site's document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from llmrec_plugin.backends.elasticsearch.attached.engine import AttachedBackend
from llmrec_plugin.services import indexing
from llmrec_plugin.services.indexing.index_build import build
from tests.attached.interleavings import STEPS, World, explore
from tests.attached.site import Site
from tests.attached.test_attached import stocked


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(World(edits=("v1",)), id="a save and a crash"),
        pytest.param(World(edits=("v1", "v2"), crashes=0), id="two saves"),
        pytest.param(
            World(edits=("v1", "old"), written_by_the_site=False),
            id="a change and a change back that the site has no field for",
        ),
    ],
)
def test_no_order_of_events_leaves_anything_stale_or_lost(world: World) -> None:
    result = explore(world)
    assert (result.stale, result.lost) == ((), ())
    assert result.finals > 0
    assert result.states > 500


def test_without_the_sweep_a_write_that_comes_after_the_second_look_loses_the_vector() -> None:
    result = explore(World(edits=("v1",), swept=False, crashes=0))
    assert result.lost
    assert result.stale == ()


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(
            World(edits=("v1", "v2"), steps=("claim", "row", "observe", "write", "settle"), crashes=0),
            id="documents observed after the row was read",
        ),
        pytest.param(World(edits=("v1", "v2"), guarded=False, crashes=0), id="writes without a guard"),
        pytest.param(
            World(edits=("v1", "old"), changes_are_written=False, written_by_the_site=False),
            id="changes left alone where the document seems right",
        ),
    ],
)
def test_the_exploration_finds_what_other_ways_get_wrong(world: World) -> None:
    assert explore(world, until_stale=True).stale


def traced(verb: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """The real one, which leaves a trace in the log of queries."""

    def call(*arguments: Any) -> Any:
        connection.cursor().execute(f"SELECT '{verb}'")
        return method(*arguments)

    return call


@pytest.mark.django_db
def test_the_drain_goes_in_the_order_that_was_explored(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    lamp, *_ = stocked(site)
    build("attached")
    for verb in ("observe", "write"):
        monkeypatch.setattr(AttachedBackend, verb, traced(verb, getattr(AttachedBackend, verb)))
    lamp.save()
    with CaptureQueriesContext(connection) as queries:
        indexing.drain()
    traces = {
        "claim": 'UPDATE "llmrec_plugin_outboxentry" SET "lease_owner"',
        "observe": "SELECT 'observe'",
        "row": 'SELECT "hostapp_product"."id"',
        "write": "SELECT 'write'",
        "settle": 'DELETE FROM "llmrec_plugin_outboxentry"',
    }
    statements = [query["sql"] for query in queries.captured_queries]
    first = {
        name: next(number for number, sql in enumerate(statements) if sql.startswith(trace))
        for name, trace in traces.items()
    }
    assert tuple(sorted(first, key=first.__getitem__)) == STEPS
