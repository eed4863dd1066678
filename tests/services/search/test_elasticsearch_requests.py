"""What the Elasticsearch engine asks of the cluster, and what it makes of its refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmrec_plugin.backends.elasticsearch import SearchBackend, bulk_write
from llmrec_plugin.contracts.backend_model import SCHEMA, document, keys, unit, words
from llmrec_plugin.exceptions import BackendUnavailable
from llmrec_plugin.types import EngineQuery, Removal, Terms
from tests.support.elasticsearch_proxy import Proxy, Request, proxy
from tests.support.servers import OLDEST_ELASTICSEARCH, elasticsearch

NAME = "llmrec-requests"
REJECTED = {
    "type": "es_rejected_execution_exception",
    "reason": "rejected execution of coordinating operation",
}


@pytest.fixture
def door() -> Iterator[Proxy]:
    with proxy(elasticsearch(OLDEST_ELASTICSEARCH).url) as opened:
        yield opened


@pytest.fixture
def engine(door: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SearchBackend]]:
    """Makes an engine behind the door, with an index."""
    made: list[SearchBackend] = []
    monkeypatch.setattr(bulk_write, "_FIRST_PAUSE", 0.001)

    def make(**options: Any) -> SearchBackend:
        backend = SearchBackend({"hosts": door.url, "refresh": True, **options})
        made.append(backend)
        backend.drop_index(NAME)
        backend.create_index(NAME, SCHEMA)
        door.seen.clear()
        return backend

    yield make
    door.fault = None
    for backend in made:
        backend.drop_index(NAME)
        backend._connection.close()


def bulk(request: Request) -> bool:
    return request.path.startswith("/") and "_bulk" in request.path


def times(count: int, answer: tuple[int, Any]) -> Callable[[Request], tuple[int, Any] | None]:
    """The answer to the first bulk requests; the rest pass."""
    left = [count]

    def fault(request: Request) -> tuple[int, Any] | None:
        if bulk(request) and left[0]:
            left[0] -= 1
            return answer
        return None

    return fault


class TestRoundTrips:
    def test_both_legs_filters_and_facets_are_one_request(
        self, engine: Callable[..., SearchBackend], door: Proxy
    ) -> None:
        backend = engine()
        backend.write(NAME, [document(str(n), "red hat", brand="a", price=n) for n in range(5)])
        query = EngineQuery(
            text=words("red"),
            vector=unit(1),
            filters=(Terms(field="brand", values=("a",)),),
            facets=("brand", "price"),
            exclude=frozenset({"3"}),
        )
        backend.search(NAME, query)  # the first one looks at the words of the index, too
        door.seen.clear()
        result = backend.search(NAME, query)
        assert (len(result.text), len(result.vector), result.facets["brand"]) == (4, 4, {"a": 4})
        assert [request.path.partition("?")[0] for request in door.seen] == [f"/{NAME}/_msearch"]

    def test_a_tie_that_goes_on_beyond_the_limit_is_cut_by_key(
        self, engine: Callable[..., SearchBackend], door: Proxy
    ) -> None:
        backend = engine()
        names = [f"{n:03}" for n in range(150)]
        backend.write(NAME, [document(name) for name in reversed(names)])
        backend.search(NAME, EngineQuery(vector=unit(1), limit=3))
        assert keys(backend.search(NAME, EngineQuery(vector=unit(1), limit=3)).vector) == names[:3]

    def test_the_greeting_of_the_cluster_is_never_asked_for(
        self, engine: Callable[..., SearchBackend], door: Proxy
    ) -> None:
        backend = engine()
        backend.check()
        backend.write(NAME, [document("1")])
        list(backend.digests(NAME))
        backend.count(NAME)
        backend.index_names()
        backend.refresh(NAME)
        assert door.seen
        assert not [request for request in door.seen if request.path.partition("?")[0] in ("", "/")]

    def test_no_request_has_a_script_in_it(self, engine: Callable[..., SearchBackend], door: Proxy) -> None:
        backend = engine()
        backend.write(NAME, [document("1", "red")])
        backend.search(NAME, EngineQuery(text=words("red"), vector=unit(1)))
        backend.search(NAME, EngineQuery(sort="price", facets=("price",)))
        assert not [request for request in door.seen if b"script" in request.body]

    def test_a_bulk_request_stays_below_the_size_that_is_set(
        self, engine: Callable[..., SearchBackend], door: Proxy
    ) -> None:
        backend = engine(chunk_bytes=2_000)
        report = backend.write(NAME, [document(str(n), "red " * 50) for n in range(20)])
        assert report.written == 20
        sizes = [len(request.body) for request in door.seen if bulk(request)]
        assert len(sizes) > 3
        assert max(sizes) <= 2_100

    def test_credentials_travel_with_each_request(
        self, engine: Callable[..., SearchBackend], door: Proxy
    ) -> None:
        for options, expected in (
            ({"api_key": ("id", "key")}, "ApiKey aWQ6a2V5"),  # base64 of id:key
            ({"basic_auth": ["user", "word"]}, "Basic dXNlcjp3b3Jk"),  # of user:word
        ):
            backend = engine(**options)
            backend.count(NAME)
            assert {request.headers["authorization"] for request in door.seen} == {expected}


class TestRefusals:
    @pytest.mark.parametrize("status", [429, 503])
    def test_a_cluster_without_time_is_asked_again(
        self, engine: Callable[..., SearchBackend], door: Proxy, status: int
    ) -> None:
        backend = engine()
        door.fault = times(2, (status, {"error": REJECTED, "status": status}))
        assert backend.write(NAME, [document("1"), document("2")]).written == 2
        assert door.count("_bulk") == 3

    def test_changes_that_were_rejected_in_a_bulk_request_come_again_alone(
        self, engine: Callable[..., SearchBackend], door: Proxy
    ) -> None:
        backend = engine()
        rejected = {"index": {"status": 429, "error": REJECTED}}
        taken = {"index": {"status": 201}}
        door.fault = times(1, (200, {"items": [rejected, taken, rejected]}))
        report = backend.write(NAME, [document("1"), document("2"), document("3")])
        assert report.written == 3
        assert sorted(dict(backend.digests(NAME))) == ["1", "3"]  # the proxy took the second and kept it

    def test_a_cluster_that_has_no_room_ends_in_an_outage_that_says_why(
        self, engine: Callable[..., SearchBackend], door: Proxy
    ) -> None:
        backend = engine(retries=2)
        full = {"type": "cluster_block_exception", "reason": "disk usage exceeded flood-stage watermark"}
        door.fault = times(99, (200, {"items": [{"index": {"status": 429, "error": full}}]}))
        with pytest.raises(BackendUnavailable, match=r"flood-stage.*Gave up on 1 changes after 2 retries"):
            backend.write(NAME, [document("1")])
        assert door.count("_bulk") == 3

    def test_a_request_that_is_too_large_is_sent_in_parts_down_to_the_one_that_does_not_fit(
        self, engine: Callable[..., SearchBackend], door: Proxy
    ) -> None:
        backend = engine()

        def fault(request: Request) -> tuple[int, Any] | None:
            if bulk(request) and len(request.body) > 1_500:
                return 413, {"error": {"type": "too_large", "reason": "content too long"}, "status": 413}
            return None

        door.fault = fault
        puts = [document(str(n), "red") for n in range(12)]
        report = backend.write(NAME, [*puts, document("huge", "red " * 500)])
        assert (report.written, set(report.failed)) == (12, {"huge"})
        assert "content too long" in report.failed["huge"]

    def test_a_lost_answer_is_no_lost_write(self, engine: Callable[..., SearchBackend], door: Proxy) -> None:
        backend = engine()
        left = [1]

        def fault(request: Request) -> tuple[int, Any] | None:
            if bulk(request) and left[0]:
                left[0] = 0
                raise OSError("cut")
            return None

        door.fault = fault
        report = backend.write(NAME, [document("1")])
        assert (report.written + report.skipped, report.failed) == (1, {})
        assert dict(backend.digests(NAME)) == {"1": "1 1"}

    def test_what_elasticsearch_cannot_store_fails_alone_with_its_reason(
        self, engine: Callable[..., SearchBackend]
    ) -> None:
        backend = engine()
        bad = [document("keyword", brand="x" * 40_000), document("k" * 600), document("")]
        report = backend.write(
            NAME, [document("1"), *bad, document("2")], [Removal(key="k" * 600, revision=1)]
        )
        assert (report.written, set(report.failed)) == (3, {"keyword", "k" * 600, ""})
        assert "filter.brand" in report.failed["keyword"]
        assert "32766" in report.failed["keyword"]
        assert "xxx" not in report.failed["keyword"]
        assert sorted(dict(backend.digests(NAME))) == ["1", "2"]

    @pytest.mark.parametrize(
        ("status", "match"),
        [
            (401, "check api_key"),
            (403, "check api_key"),
            (400, "status 400"),
            (500, "status 500"),
            (503, "503"),
        ],
    )
    def test_a_search_that_is_refused_is_an_outage_that_says_why(
        self, engine: Callable[..., SearchBackend], door: Proxy, status: int, match: str
    ) -> None:
        backend = engine(retries=0)
        door.fault = lambda request: (
            status,
            {"error": {"type": "some_exception", "reason": "no"}, "status": status},
        )
        with pytest.raises(BackendUnavailable, match=match):
            backend.search(NAME, EngineQuery(vector=unit(1)))
        door.fault = lambda request: (
            (200, {"responses": [{"error": {"type": "some_exception", "reason": "no"}, "status": status}]})
            if "_msearch" in request.path
            else None
        )
        with pytest.raises(BackendUnavailable, match=match):
            backend.search(NAME, EngineQuery(vector=unit(1)))

    def test_another_program_at_the_address_is_no_engine(self, door: Proxy) -> None:
        door.product = "something else"
        door.fault = lambda request: (200, {"nodes": {}})
        backend = SearchBackend({"hosts": door.url})
        with pytest.raises(BackendUnavailable, match="no Elasticsearch"):
            backend.check()
        backend._connection.close()

    def test_a_node_that_is_too_old_is_named(self, engine: Callable[..., SearchBackend], door: Proxy) -> None:
        backend = engine()
        door.fault = lambda request: (
            (200, {"nodes": {"a": {"version": "8.19.0"}, "b": {"version": "8.11.4"}}})
            if "_nodes" in request.path
            else None
        )
        with pytest.raises(BackendUnavailable, match=r"8\.11\.4"):
            backend.check()

    def test_a_cluster_that_misses_our_shards_is_unfit(
        self, engine: Callable[..., SearchBackend], door: Proxy
    ) -> None:
        backend = engine()
        red = {"status": "red", "unassigned_primary_shards": 2}
        door.fault = lambda request: (200, red) if "_cluster/health" in request.path else None
        with pytest.raises(BackendUnavailable, match="misses 2 primary shards"):
            backend.check()

    def test_nobody_at_the_address_is_an_outage(self) -> None:
        backend = SearchBackend({"hosts": "http://127.0.0.1:9", "retries": 0})
        for call in (
            backend.check,
            backend.index_names,
            lambda: backend.write(NAME, [document("1")]),
            lambda: backend.search(NAME, EngineQuery()),
            lambda: list(backend.digests(NAME)),
        ):
            with pytest.raises(BackendUnavailable):
                call()

    def test_a_walk_over_the_items_goes_page_by_page_and_tells_when_its_place_is_lost(
        self, engine: Callable[..., SearchBackend], door: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("llmrec_plugin.backends.elasticsearch.scan.PAGE", 2)
        backend = engine()
        backend.write(NAME, [document(str(n)) for n in range(5)])
        assert sorted(dict(backend.digests(NAME))) == ["0", "1", "2", "3", "4"]
        assert [request.method for request in door.seen if "_pit" in request.path] == ["POST", "DELETE"]
        walk = backend.digests(NAME)
        next(walk), next(walk)
        lost = {"type": "search_context_missing_exception", "reason": "No search context found"}
        door.fault = lambda request: (
            (404, {"error": {"root_cause": [lost], "type": "x"}, "status": 404})
            if "_search" in request.path
            else None
        )
        with pytest.raises(BackendUnavailable, match="start anew"):
            next(walk)


def test_the_index_says_what_it_is(engine: Callable[..., SearchBackend]) -> None:
    backend = engine(shards=2, replicas=0, refresh_interval="5s")
    about = backend._connection.client.indices.get(index=NAME)[NAME]
    index = about["settings"]["index"]
    assert (index["number_of_shards"], index["number_of_replicas"], index["refresh_interval"]) == (
        "2",
        "0",
        "5s",
    )
    assert index["gc_deletes"] == "3600s"  # far above the 300 s that a drain's claim lasts
    mapping = about["mappings"]
    assert mapping["dynamic"] == "strict"
    assert mapping["_meta"]["llmrec"]["encoder_id"] == SCHEMA.encoder_id
    assert mapping["_source"] == {"excludes": ["vector"]}
    # each text field by its stems and as it is written, and the beginnings of titles
    assert json.dumps(mapping).count('"analyzer": "whitespace"') == 2 * len(SCHEMA.text_fields) + 1
