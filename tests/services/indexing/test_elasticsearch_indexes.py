"""The Elasticsearch engine's indexes: names, options, terms as they are stored, and other users of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from llmrec_plugin.backends import get_backend
from llmrec_plugin.backends.elasticsearch import SearchBackend, terms
from llmrec_plugin.backends.elasticsearch.client import _with_port
from llmrec_plugin.backends.elasticsearch.options import QUANTIZATIONS
from llmrec_plugin.contracts.backend_model import SCHEMA, document, keys, unit, words
from llmrec_plugin.exceptions import ConfigurationError, IndexConflict, NotFound
from llmrec_plugin.types import EngineQuery, IndexSchema, Phrase, Removal, Terms, TextQuery
from tests.support.servers import ELASTICSEARCH_VERSIONS, elasticsearch

NAME = "llmrec-indexes"


@pytest.fixture(params=ELASTICSEARCH_VERSIONS)
def url(request: pytest.FixtureRequest) -> str:
    return elasticsearch(request.param).url


@pytest.fixture
def engine(url: str) -> Iterator[Callable[..., SearchBackend]]:
    made: list[SearchBackend] = []

    def make(**options: Any) -> SearchBackend:
        made.append(SearchBackend({"hosts": url, "refresh": True, **options}))
        return made[-1]

    yield make
    for backend in made:
        for name in backend.index_names():
            backend.drop_index(name)
        backend._connection.close()


def long_schema(dimensions: int = 64) -> IndexSchema:
    return replace(SCHEMA, dimensions=dimensions)


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_cosines_are_exact_however_vectors_are_kept(
    engine: Callable[..., SearchBackend], quantization: str
) -> None:
    backend = engine(quantization=quantization)
    backend.create_index(NAME, long_schema())
    rows = np.random.default_rng(0).standard_normal((200, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    report = backend.write(NAME, [document(str(n), vector=row) for n, row in enumerate(rows)])
    assert report.written == 200
    mapping = backend._connection.client.indices.get_mapping(index=NAME)[NAME]["mappings"]
    assert mapping["properties"]["vector"]["index_options"]["type"] == quantization
    hits = backend.search(NAME, EngineQuery(vector=rows[7], limit=10)).vector
    assert hits[0].key == "7"
    assert [hit.score for hit in hits] == pytest.approx(
        [rows[int(hit.key)] @ rows[7] for hit in hits], abs=1e-5
    )
    best = np.sort(rows @ rows[7])[::-1][:10]
    assert [hit.score for hit in hits] == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize(
    ("quantization", "dimensions"), [("bbq_hnsw", 32), ("int4_hnsw", 65), ("hnsw", 5000)]
)
def test_vectors_that_cannot_be_kept_so_are_refused_with_a_way_out(
    engine: Callable[..., SearchBackend], quantization: str, dimensions: int
) -> None:
    with pytest.raises(ConfigurationError, match=str(dimensions)):
        engine(quantization=quantization).create_index(NAME, long_schema(dimensions))


def test_as_many_hits_as_elasticsearch_gives_can_be_asked_for(engine: Callable[..., SearchBackend]) -> None:
    backend = engine()
    backend.create_index(NAME, SCHEMA)
    backend.write(NAME, [document(str(n), "red") for n in range(30)])
    for limit in (10_000, 50_000):
        result = backend.search(NAME, EngineQuery(text=words("red"), vector=unit(1), limit=limit))
        assert (len(result.text), len(result.vector)) == (30, 30)
        assert len(backend.search(NAME, EngineQuery(limit=limit)).listing) == 30


@pytest.mark.parametrize(
    "term", ["x" * 254, "x" * 300, "é" * 200, "𝒳" * 121, "𝒳" * 200, "\ud800", "a\ud800b", "x" * 50_000]
)
def test_terms_of_any_length_are_found_by_themselves_alone(
    engine: Callable[..., SearchBackend], term: str
) -> None:
    backend = engine()
    backend.create_index(NAME, SCHEMA)
    backend.write(NAME, [document("1", f"red {term}"), document("2", term[:-1])])
    assert keys(backend.search(NAME, EngineQuery(text=words(term))).text) == ["1"]
    assert keys(backend.search(NAME, EngineQuery(text=words(term + "y"))).text) == []


def test_names_of_fields_mean_nothing_to_the_cluster(engine: Callable[..., SearchBackend]) -> None:
    names = ("brand.name", "brand", "a*", "名", "a b")
    schema = replace(SCHEMA, text_fields=names, filters=dict.fromkeys(names, "keyword"))
    backend = engine()
    backend.create_index(NAME, schema)
    red = dict.fromkeys(names, "red")
    item = replace(document("1"), terms=red, exact=red, filters={name: name for name in names})
    assert backend.write(NAME, [item]).written == 1
    for name in names:
        query = EngineQuery(
            text=TextQuery(words=(("red",),), weights={name: 1.0}),
            filters=(Terms(field=name, values=(name,)),),
            facets=names,
        )
        result = backend.search(NAME, query)
        assert keys(result.text) == ["1"]
        assert result.facets == {each: {each: 1} for each in names}
        listing = backend.search(NAME, EngineQuery(facets=names))
        assert listing.facets == result.facets
        assert keys(backend.search(NAME, replace(query, phrases=(Phrase(terms=("red",)),))).text) == ["1"]


class TestCommonWords:
    """An index of 1,200 items, all with "the" and 40 % with "new"."""

    @pytest.fixture
    def backend(self, engine: Callable[..., SearchBackend]) -> SearchBackend:
        backend = engine()
        backend.create_index(NAME, SCHEMA)
        backend.write(
            NAME,
            [
                document(
                    f"{n:04}", f"the {'lamp' if n == 7 else 'chair'}", body="new" if n % 5 < 2 else "old"
                )
                for n in range(1_200)
            ],
        )
        return backend

    def found(self, backend: SearchBackend, *typed: str) -> list[str]:
        return keys(backend.search(NAME, EngineQuery(text=words(*typed), limit=5)).text)

    def test_a_word_of_nearly_all_items_goes_where_a_rarer_one_is_left(self, backend: SearchBackend) -> None:
        assert self.found(backend, "the", "lamp") == ["0007"]

    def test_alone_it_is_looked_for(self, backend: SearchBackend) -> None:
        assert len(self.found(backend, "the")) == 5

    def test_beside_a_word_that_no_item_has_it_is_looked_for_too(self, backend: SearchBackend) -> None:
        assert len(self.found(backend, "the", "nowhere")) == 5

    def test_it_does_not_stand_in_for_a_word_whose_items_are_filtered_out(
        self, backend: SearchBackend
    ) -> None:
        query = EngineQuery(text=words("the", "lamp"), exclude=frozenset({"0007"}))
        assert keys(backend.search(NAME, query).text) == []

    def test_a_sample_is_taken_once_and_again_when_it_is_old(self, monkeypatch: pytest.MonkeyPatch) -> None:
        samples, taken = terms.Samples(), []

        def take() -> terms.Sample:
            taken.append(1)
            return terms.Sample(len(taken))

        assert [samples.of("a", take).items for _ in range(3)] == [1, 1, 1]
        monkeypatch.setattr(terms, "SAMPLE_SECONDS", -1.0)
        samples.forget("a")
        assert [samples.of("a", take).items for _ in range(3)] == [2, 3, 4]

    def test_the_least_common_of_common_words_is_kept(self) -> None:
        sample = terms.sample_of(10_000, [["the", "new"]] * 50 + [["the"]] * 50)
        assert terms.worthwhile([("the",), ("new",)], sample) == terms.Wanted((("new",),))
        assert terms.worthwhile([("the",), ("lamp",)], sample) == terms.Wanted([("lamp",)], (("the",),))
        assert terms.sample_of(1_000, [["the"]]).shares == {}


class TestOthers:
    def test_two_sites_of_one_cluster_do_not_see_each_other(
        self, engine: Callable[..., SearchBackend]
    ) -> None:
        with override_settings(LLMREC={**django_settings.LLMREC, "INDEX_PREFIX": "School"}):
            theirs, name = engine(), NAME.replace("llmrec", "school")
        ours = engine()
        ours.create_index(NAME, SCHEMA)
        theirs.create_index(name, SCHEMA)
        ours.write(NAME, [document("1")])
        assert (ours.count(NAME), theirs.count(name)) == (1, 0)
        assert (ours.index_names(), theirs.index_names()) == ([NAME], [name])
        ours.drop_index(NAME)
        assert (ours.index_names(), theirs.index_names()) == ([], [name])

    def test_an_index_of_another_program_is_never_taken_over(
        self, engine: Callable[..., SearchBackend]
    ) -> None:
        backend = engine()
        client = backend._connection.client
        client.indices.create(index=NAME, mappings={"properties": {"title": {"type": "text"}}})
        try:
            with pytest.raises(IndexConflict, match="not made by llmrec_plugin"):
                backend.create_index(NAME, SCHEMA)
            with pytest.raises(IndexConflict):
                backend.write(NAME, [document("1")])
            assert backend.index_names() == []
        finally:
            client.indices.delete(index=NAME)

    @pytest.mark.parametrize("deletes", [False, True])
    def test_a_write_to_an_index_that_is_gone_does_not_make_one(
        self, engine: Callable[..., SearchBackend], deletes: bool
    ) -> None:
        backend, other = engine(), engine()
        backend.create_index(NAME, SCHEMA)
        backend.write(NAME, [document("1")])
        other.drop_index(NAME)
        changes: dict[str, Any] = {"puts": [document("1", revision=2)], "deletes": ()}
        if deletes:
            changes = {"puts": (), "deletes": [Removal(key="1", revision=2)]}
        with pytest.raises(NotFound, match=NAME):
            backend.write(NAME, **changes)
        assert backend._connection.client.indices.get(index=f"{NAME}*") == {}

    def test_an_index_made_anew_elsewhere_is_known_by_its_new_schema(
        self, engine: Callable[..., SearchBackend]
    ) -> None:
        backend, other = engine(), engine()
        backend.create_index(NAME, SCHEMA)
        backend.write(NAME, [document("1")])
        other.drop_index(NAME)
        with pytest.raises(NotFound):
            backend.search(NAME, EngineQuery(vector=unit(1)))
        other.create_index(NAME, replace(SCHEMA, dimensions=4))
        backend.write(NAME, [document("1", vector=unit(1)[:4])])
        assert keys(backend.search(NAME, EngineQuery(vector=unit(1)[:4])).vector) == ["1"]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
    def test_a_forked_child_talks_over_connections_of_its_own(
        self, engine: Callable[..., SearchBackend]
    ) -> None:
        backend = engine()
        backend.create_index(NAME, SCHEMA)
        inherited = backend._connection.client
        child = os.fork()
        if child == 0:
            fine = backend._connection.client is not inherited
            fine = fine and backend.write(NAME, [document("1")]).written == 1
            os._exit(0 if fine else 1)
        for _ in range(20):
            backend.count(NAME)
        assert os.waitpid(child, 0)[1] == 0
        assert backend.count(NAME) == 1
        assert backend._connection.client is inherited


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"host": "http://a"}, 'Did you mean "hosts"'),
        ({"quantisation": "flat"}, 'Did you mean "quantization"'),
        ({"hosts": "localhost:9200"}, "a URL such as"),
        ({"hosts": []}, "a URL such as"),
        ({"quantization": "int16"}, "int8_hnsw"),
        ({"shards": 0}, "above 0"),
        ({"replicas": True}, "whole number of at least 0, or a range"),
        ({"chunk_bytes": 0}, "above 0"),
        ({"oversample": 0.5}, "from 1 to 10"),
        ({"refresh": "sometimes"}, "wait_for"),
        ({"request_timeout": "long"}, "seconds"),
        ({"api_key": "a", "basic_auth": ("b", "c")}, "not both"),
    ],
    ids=str,
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], match: str) -> None:
    changed = {"BACKEND": "llmrec_plugin.backends.elasticsearch", "BACKEND_OPTIONS": options}
    with (
        override_settings(LLMREC={**django_settings.LLMREC, **changed}),
        pytest.raises(ConfigurationError, match=match),
    ):
        get_backend()


def test_a_wrong_secret_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        SearchBackend({"basic_auth": "user:secret"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("http://a", "http://a:80"),
        ("https://a.example", "https://a.example:443"),
        ("https://a:9243", "https://a:9243"),
        ("https://a/path", "https://a:443/path"),
        ("https://user:word@a", "https://user:word@a:443"),
        ("http://[::1]", "http://[::1]:80"),
        ("http://[::1]:9200", "http://[::1]:9200"),
    ],
)
def test_a_host_without_a_port_has_the_usual_one(given: str, full: str) -> None:
    assert _with_port(given) == full
