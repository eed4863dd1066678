"""What every engine must do with indexes and writes; part of BackendContract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.backends.base import SearchBackend
from llmrec_plugin.contracts.backend_model import DIMENSIONS, SCHEMA, Index, document, examples, unit
from llmrec_plugin.exceptions import ConfigurationError, IndexConflict, InvalidVector, NotFound
from llmrec_plugin.types import EngineQuery, IndexedItem, Range, Removal, Terms, WriteReport


class WritingContract:
    tolerance: ClassVar[float] = 1e-5
    """How far a cosine may be off."""

    def test_an_engine_that_works_passes_its_own_check(self, backend: SearchBackend) -> None:
        backend.check()

    def test_making_an_index_again_keeps_what_it_holds(self, index: Index) -> None:
        index.write(document("1"))
        index.backend.create_index(index.name, SCHEMA)
        assert index.backend.count(index.name) == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"text_fields": ("title",)},
            {"text_fields": ("body", "title")},
            {"filters": {"brand": "number"}},
            {"dimensions": DIMENSIONS + 1},
            {"encoder_id": "another"},
            {"analysis_id": "another"},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_an_index_of_that_name_with_another_schema_is_a_conflict(
        self, index: Index, change: dict[str, Any]
    ) -> None:
        with pytest.raises(IndexConflict, match=index.name):
            index.backend.create_index(index.name, replace(SCHEMA, **change))

    def test_a_dropped_index_is_gone_and_can_be_dropped_again(self, index: Index) -> None:
        index.write(document("1", "red"))
        index.search(vector=unit(1))
        index.backend.drop_index(index.name)
        index.backend.drop_index(index.name)
        assert index.name not in index.backend.index_names()
        with pytest.raises(NotFound, match=index.name):
            index.search(vector=unit(1))

    def test_an_index_made_anew_under_an_old_name_is_empty(self, index: Index) -> None:
        index.write(document("1", "red", revision=9))
        index.search(vector=unit(1))
        index.backend.drop_index(index.name)
        index.backend.create_index(index.name, SCHEMA)
        assert index.backend.count(index.name) == 0
        assert index.near(unit(1)) == index.found("red") == []
        assert index.write(document("2", "red", revision=1)).written == 1
        assert index.near(unit(1)) == index.found("red") == ["2"]

    def test_names_of_indexes_are_sorted(self, backend: SearchBackend) -> None:
        for name in ("llmrec-b", "llmrec-a"):
            backend.create_index(name, SCHEMA)
        try:
            assert [name for name in backend.index_names() if name in ("llmrec-a", "llmrec-b")] == [
                "llmrec-a",
                "llmrec-b",
            ]
        finally:
            for name in ("llmrec-b", "llmrec-a"):
                backend.drop_index(name)

    @pytest.mark.parametrize("name", ["", "../llmrec", "a/b", "a\\b", "-a", "Shop", "商店", "a b", "a" * 200])
    def test_what_cannot_name_an_index_everywhere_is_refused(self, backend: SearchBackend, name: str) -> None:
        with pytest.raises(ConfigurationError) as raised:
            backend.create_index(name, SCHEMA)
        assert name in str(raised.value) or repr(name) in str(raised.value)
        assert name not in backend.index_names()

    def test_an_option_that_there_is_not_is_refused(self, backend: SearchBackend) -> None:
        with pytest.raises(ConfigurationError, match="colour"):
            type(backend)({**backend.options, "colour": "red"})

    @pytest.mark.parametrize(
        "call",
        [
            lambda backend, name: backend.write(name, [document("1")]),
            lambda backend, name: backend.search(name, EngineQuery()),
            lambda backend, name: backend.count(name),
            lambda backend, name: list(backend.digests(name)),
            lambda backend, name: backend.refresh(name),
        ],
        ids=["write", "search", "count", "digests", "refresh"],
    )
    def test_an_index_that_nobody_made_is_not_found(
        self, backend: SearchBackend, call: Callable[[SearchBackend, str], object]
    ) -> None:
        with pytest.raises(NotFound, match="llmrec-none"):
            call(backend, "llmrec-none")

    def test_two_indexes_do_not_mix(self, index: Index) -> None:
        other = Index(index.backend)
        index.write(document("1", "red"))
        other.write(document("2", "red"))
        assert index.found("red") == index.near(unit(1)) == index.listed() == ["1"]
        other.backend.drop_index(other.name)

    def test_a_written_item_is_found_by_its_words_its_vector_and_its_filters(self, index: Index) -> None:
        report = index.write(document("1", "red hat", brand="a"))
        assert report == WriteReport(written=1, skipped=0)
        assert index.found("hat") == index.near(unit(1)) == ["1"]
        assert index.listed(filters=(Terms(field="brand", values=("a",)),)) == ["1"]
        assert index.backend.count(index.name) == 1
        assert dict(index.backend.digests(index.name)) == {"1": "1 1"}

    def test_a_changed_item_is_found_by_what_it_is_now_alone(self, index: Index) -> None:
        index.write(
            document("1", "red", brand=("a", "b"), price=1), document("2", "green", vector=unit(0, 0, 1))
        )
        index.search(vector=unit(1))
        index.write(document("1", "blue", brand="b", revision=2, vector=unit(0, 1), digest="new"))
        assert (index.found("red"), index.found("blue")) == ([], ["1"])
        assert index.near(unit(0, 1), limit=1) == ["1"]
        assert index.search(vector=unit(1)).vector[0].score == pytest.approx(0, abs=self.tolerance)
        assert index.listed(filters=(Terms(field="brand", values=("a",)),)) == []
        assert index.listed(filters=(Range(field="price", gte=0),)) == []
        assert dict(index.backend.digests(index.name))["1"] == "new"
        assert index.backend.count(index.name) == 2

    def test_an_older_or_equal_revision_changes_nothing(self, index: Index) -> None:
        index.write(document("1", "red", revision=5))
        assert index.write(document("1", "blue", revision=5)) == WriteReport(written=0, skipped=1)
        assert index.write(document("1", "blue", revision=4)) == WriteReport(written=0, skipped=1)
        assert index.write(deletes=[Removal(key="1", revision=5)]) == WriteReport(written=0, skipped=1)
        assert (index.found("red"), index.found("blue")) == (["1"], [])

    def test_a_deleted_item_is_gone_from_every_answer(self, index: Index) -> None:
        index.write(document("1", "red", brand="a"), document("2", "red", brand="a"))
        index.search(vector=unit(1))
        assert index.write(deletes=[Removal(key="1", revision=2)]).written == 1
        assert index.found("red") == index.near(unit(1)) == index.listed() == ["2"]
        assert index.search(facets=("brand",)).facets == {"brand": {"a": 1}}
        assert dict(index.backend.digests(index.name)).keys() == {"2"}
        assert index.backend.count(index.name) == 1

    @pytest.mark.parametrize("known", [True, False], ids=["known", "never seen"])
    def test_a_late_put_does_not_bring_back_what_was_deleted(self, index: Index, known: bool) -> None:
        if known:
            index.write(document("1", "red", revision=1))
        index.write(deletes=[Removal(key="1", revision=5)])
        assert index.write(document("1", "red", revision=4)).skipped == 1
        assert index.found("red") == index.near(unit(1)) == []
        assert index.write(document("1", "red", revision=6)).written == 1
        assert index.found("red") == index.near(unit(1)) == ["1"]

    @examples
    @given(
        writes=st.lists(
            st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 9), st.booleans()), max_size=4),
            max_size=5,
        )
    )
    def test_writes_in_any_order_end_in_the_newest_revision(
        self, backend: SearchBackend, writes: list[list[tuple[str, int, bool]]]
    ) -> None:
        index = Index(backend)
        newest: dict[str, tuple[int, bool]] = {}
        for batch in writes:
            puts = [document(key, f"r{revision}", revision=revision) for key, revision, put in batch if put]
            deletes = [Removal(key=key, revision=revision) for key, revision, put in batch if not put]
            report = index.write(*puts, deletes=deletes)
            assert report.written + report.skipped == len(batch)
            changes: list[IndexedItem | Removal] = [*puts, *deletes]
            for change in changes:
                if change.revision > newest.get(change.key, (0, False))[0]:
                    newest[change.key] = (change.revision, isinstance(change, IndexedItem))
        live = {key: revision for key, (revision, put) in newest.items() if put}
        assert dict(backend.digests(index.name)) == {key: f"{key} {live[key]}" for key in live}
        assert sorted(index.near(unit(1))) == sorted(live)
        assert all(index.found(f"r{revision}").count(key) == 1 for key, revision in live.items())
        assert backend.count(index.name) == len(live)
        backend.drop_index(index.name)

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (document("bad", colour="red"), "colour"),
            (document("bad", price="cheap"), "price"),
            (document("bad", price=float("nan")), "price"),
            (document("bad", in_stock="yes"), "in_stock"),
            (replace(document("bad"), terms={"subtitle": "red"}), "subtitle"),
        ],
        ids=["unknown filter", "no number", "NaN", "no boolean", "unknown text field"],
    )
    def test_an_item_that_does_not_fit_the_schema_fails_alone(
        self, index: Index, bad: IndexedItem, reason: str
    ) -> None:
        report = index.write(document("1"), bad, document("2"))
        assert (report.written, report.skipped, set(report.failed)) == (2, 0, {"bad"})
        assert reason in report.failed["bad"]
        assert sorted(index.listed()) == ["1", "2"]

    @pytest.mark.parametrize(
        "vector",
        [
            np.zeros(DIMENSIONS, np.float32),
            np.full(DIMENSIONS, np.nan, np.float32),
            np.full(DIMENSIONS, np.inf, np.float32),
            unit(1) * np.float32(1.01),
            unit(1)[:-1],
        ],
        ids=["zero", "NaN", "infinite", "too long", "other dimensions"],
    )
    def test_a_vector_that_is_none_is_refused_and_nothing_is_written(self, index: Index, vector: Any) -> None:
        with pytest.raises(InvalidVector, match="bad"):
            index.write(document("1"), document("bad", vector=vector), deletes=[Removal(key="2", revision=1)])
        assert index.backend.count(index.name) == 0
        with pytest.raises(InvalidVector):
            index.search(vector=vector)

    def test_a_vector_of_other_dimensions_is_told_with_both_numbers(self, index: Index) -> None:
        numbers = rf"\b{DIMENSIONS}\b.*\b7\b|\b7\b.*\b{DIMENSIONS}\b"
        with pytest.raises(InvalidVector, match=numbers):
            index.write(document("bad", vector=unit(1)[:7]))
        with pytest.raises(InvalidVector, match=numbers):
            index.search(vector=unit(1)[:7])

    def test_a_vector_whose_length_is_off_by_rounding_is_taken_at_unit_length(self, index: Index) -> None:
        index.write(document("1", vector=unit(1, 1) * np.float32(1.0005)))
        (hit,) = index.search(vector=unit(1, 1)).vector
        assert hit.score == pytest.approx(1, abs=self.tolerance)

    def test_writing_nothing_is_fine(self, index: Index) -> None:
        assert index.write() == WriteReport(written=0, skipped=0)

    def test_vectors_are_read_back_where_the_engine_says_so(self, index: Index) -> None:
        index.write(document("1", vector=unit(1, 2, 3)), document("2"))
        if not index.backend.supports_vector_reads:
            pytest.skip("the engine does not read vectors back")
        vectors = index.backend.vectors(index.name, ["1", "none", "1"])
        assert vectors.keys() == {"1"}
        assert vectors["1"].dtype == np.float32
        assert np.abs(vectors["1"] - unit(1, 2, 3)).max() < self.tolerance
