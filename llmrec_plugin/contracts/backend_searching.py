"""What every engine must answer; part of BackendContract."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.backends.base import SearchBackend
from llmrec_plugin.contracts.backend_model import (
    WEIGHTS,
    Index,
    assert_answers,
    catalogues,
    document,
    examples,
    gone,
    keys,
    queries,
    terms,
    unit,
    words,
)
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.types import EngineQuery, IndexedItem, Range, Removal, Terms

_three_words = st.lists(st.sampled_from(["red", "blue", "hat"]), min_size=3, max_size=3)


class SearchingContract:
    tolerance: ClassVar[float] = 1e-5
    """How far a cosine may be off."""

    @examples
    @given(rounds=st.lists(st.tuples(catalogues(), gone, st.lists(queries, max_size=5)), max_size=3))
    def test_answers_are_those_of_a_look_at_every_item_also_after_changes(
        self,
        backend: SearchBackend,
        rounds: list[tuple[list[IndexedItem], frozenset[str], list[EngineQuery]]],
    ) -> None:
        index = Index(backend)
        held: dict[str, IndexedItem] = {}
        for revision, (documents, deleted, asked) in enumerate(rounds, 1):
            held |= {one.key: replace(one, revision=revision) for one in documents}
            for key in deleted:
                held.pop(key, None)
            index.write(
                *(one for one in held.values() if one.revision == revision),
                deletes=[Removal(key=key, revision=revision) for key in deleted],
            )
            for query in asked:
                result = backend.search(index.name, query)
                assert_answers(result, query, list(held.values()), tolerance=self.tolerance)
        backend.drop_index(index.name)

    def test_filters_counts_and_sorting_follow_every_change(self, index: Index) -> None:
        def seen() -> tuple[list[str], dict[Any, int], list[str]]:
            return (
                index.listed(filters=(Terms(field="brand", values=("a",)), Range(field="price", gte=2))),
                dict(index.search(facets=("brand",)).facets["brand"]),
                index.listed(sort="-price"),
            )

        index.write(document("1", brand="a", price=1), document("2", brand="a", price=2))
        assert seen() == (["2"], {"a": 2}, ["2", "1"])
        index.write(document("1", brand=("a", "b"), price=3, revision=2), document("3"))
        assert seen() == (["1", "2"], {"a": 2, "b": 1}, ["1", "2", "3"])
        index.write(document("3", brand="b", price=9, revision=2), deletes=[Removal(key="1", revision=3)])
        assert seen() == (["2"], {"a": 1, "b": 1}, ["3", "2"])
        index.write(document("2", revision=2))
        assert seen() == ([], {"b": 1}, ["3", "2"])

    def test_a_keyword_given_as_a_number_or_boolean_is_its_json(self, index: Index) -> None:
        index.write(document("1", brand=5), document("2", brand=True), document("3", brand="5"))
        for asked, expected in ((("5",), ["1", "3"]), ((5,), ["1", "3"]), (("true",), ["2"])):
            assert index.listed(filters=(Terms(field="brand", values=asked),)) == expected

    @examples
    @given(held=st.lists(terms, min_size=1, max_size=8), asked=terms)
    def test_an_item_is_found_by_each_of_its_terms_and_by_no_other(
        self, backend: SearchBackend, held: list[str], asked: str
    ) -> None:
        index = Index(backend)
        index.write(document("1", " ".join(held)), document("2", "other"))
        for term in held:
            assert "1" in index.found(term)
        assert ("1" in index.found(asked)) == (asked in held)
        backend.drop_index(index.name)

    @pytest.mark.parametrize("limit", [3, 7])
    def test_ties_are_ordered_by_key_where_the_limit_cuts_them(self, index: Index, limit: int) -> None:
        names = [str(number) for number in range(20)]
        index.write(*(document(name, "red", body="same") for name in reversed(names)))
        index.write(document("first", "red red", vector=unit(1)))
        result = index.search(text=words("red"), vector=unit(1), limit=limit)
        assert keys(result.text) == ["first", *sorted(names)[: limit - 1]]
        assert keys(result.vector) == sorted([*names, "first"])[:limit]

    def test_threads_write_and_search_at_once_and_nothing_is_lost(self, index: Index) -> None:
        errors: list[BaseException] = []

        def work(worker: int) -> None:
            try:
                for turn in range(8):
                    key = f"{worker}-{turn}"
                    index.write(document(key, key, vector=unit(1, worker, turn)))
                    assert index.found(key) == [key]
                    assert index.near(unit(1, worker, turn), limit=1) == [key]
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(1, 7)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert index.backend.count(index.name) == 48
        assert len(index.near(unit(1))) == 48

    @pytest.mark.parametrize(
        "typed",
        [
            '"',
            '""',
            "OR",
            "AND",
            "NOT",
            "NEAR",
            "NEAR(red",
            "*",
            "r*",
            "title:red",
            "{title}",
            "(",
            ")",
            "-red",
            "^red",
            "red OR hat",
            "a\x00b",
            "'; DROP TABLE doc; --",
            "\\",
        ],
    )
    def test_what_looks_like_an_operator_is_a_word_like_any_other(self, index: Index, typed: str) -> None:
        index.write(document("1", "red hat"))
        assert index.found(typed) == []
        assert index.found(typed, "red") == ["1"]

    def test_a_word_may_match_by_any_of_its_alternatives(self, index: Index) -> None:
        index.write(document("1", "shoe"), document("2", "shoes"), document("3", "hat"))
        assert index.found("shoe") == ["1"]
        assert sorted(keys(index.search(text=words(("shoe", "shoes"))).text)) == ["1", "2"]

    def test_a_query_without_words_finds_nothing_by_text(self, index: Index) -> None:
        index.write(document("1", "red"))
        for nothing in ((), ((),), (("",),), ((" ",),)):
            result = index.search(text=words(*nothing), vector=unit(1))
            assert (keys(result.text), keys(result.vector)) == ([], ["1"])

    def test_a_query_of_thousands_of_words_is_answered(self, index: Index) -> None:
        index.write(document("1", "red"))
        assert index.found(*(f"w{number}" for number in range(5000)), "red") == ["1"]

    def test_a_rare_word_ranks_above_a_common_one(self, index: Index) -> None:
        index.write(
            document("rare", "green", body="x"),
            *(document(f"c{n}", "red", body="x") for n in range(5)),
            *(document(f"other{n}", "blue", body="x") for n in range(20)),
        )
        hits = index.search(text=words("red", "green")).text
        assert hits[0].key == "rare"
        assert hits[0].score > hits[1].score

    def test_an_item_with_more_of_the_words_ranks_above_one_with_fewer(self, index: Index) -> None:
        index.write(
            document("both", "red hat"),
            document("one", "red cap"),
            *(document(f"o{n}", "blue sock") for n in range(9)),
        )
        assert keys(index.search(text=words("red", "hat")).text) == ["both", "one"]

    def test_the_weight_of_a_field_counts(self, index: Index) -> None:
        index.write(
            document("title", "red", body="x"),
            document("body", "x", body="red"),
            *(document(f"other{n}", "blue", body="y") for n in range(20)),
        )
        for title, body, first in ((3.0, 1.0, "title"), (1.0, 3.0, "body")):
            hits = index.search(text=words("red", weights={"title": title, "body": body})).text
            assert hits[0].key == first
            assert hits[0].score > hits[1].score

    @examples
    @given(
        titles=st.lists(_three_words, min_size=2, max_size=8), low=st.floats(0.1, 5), high=st.floats(0.1, 5)
    )
    def test_more_weight_on_a_field_never_costs_an_item_its_lead_there(
        self, backend: SearchBackend, titles: list[list[str]], low: float, high: float
    ) -> None:
        """Among items of equal length: engines differ in whether the lengths of fields are weighted too."""
        low, high = sorted([low, high])
        index = Index(backend)
        index.write(
            *(
                document(str(number), " ".join(title), body=" ".join(reversed(titles[number - 1])))
                for number, title in enumerate(titles)
            )
        )
        light, heavy = (
            {
                hit.key: hit.score
                for hit in index.search(text=words("red", weights={"title": 1.0, "body": weight})).text
            }
            for weight in (low, high)
        )
        backend.drop_index(index.name)
        assert light.keys() == heavy.keys()
        in_body = {str(number): titles[number - 1].count("red") for number in range(len(titles))}
        for one, other in itertools.permutations(light, 2):
            if light[one] >= light[other] and in_body[one] >= in_body[other]:
                assert heavy[one] >= heavy[other] * (1 - 1e-6)

    def test_a_field_without_weight_is_not_searched(self, index: Index) -> None:
        index.write(document("1", "red", body="hat"))
        only_title = {"title": 1.0, "body": 0.0}
        assert keys(index.search(text=words("hat", weights=only_title)).text) == []
        assert keys(index.search(text=words("red", weights=only_title)).text) == ["1"]

    def test_the_vector_leg_gives_cosines_best_first(self, index: Index) -> None:
        index.write(document("far", vector=unit(-1)), document("near", vector=unit(1, 1)), document("same"))
        hits = index.search(vector=unit(1)).vector
        assert keys(hits) == ["same", "near", "far"]
        assert [hit.score for hit in hits] == pytest.approx([1, 0.5**0.5, -1], abs=self.tolerance)

    def test_the_floor_cuts_the_vector_leg_alone(self, index: Index) -> None:
        index.write(document("far", "red", vector=unit(0, 1)), document("near", "red", vector=unit(1, 1)))
        result = index.search(text=words("red"), vector=unit(1), floor=0.5)
        assert (keys(result.vector), sorted(keys(result.text))) == (["near"], ["far", "near"])

    def test_what_lies_on_the_floor_is_found(self, index: Index) -> None:
        index.write(document("right", vector=unit(0, 1)), document("far", vector=unit(-1)), document("same"))
        assert index.near(unit(1), floor=0.0) == ["same", "right"]

    def test_excluded_items_make_room_for_others_in_each_leg(self, index: Index) -> None:
        index.write(*(document(str(number), "red") for number in range(9)))
        out = frozenset({"0", "1", "2", "unknown"})
        result = index.search(text=words("red"), vector=unit(1), exclude=out, limit=4)
        assert keys(result.text) == keys(result.vector) == ["3", "4", "5", "6"]
        assert index.listed(exclude=out, limit=4) == ["3", "4", "5", "6"]
        assert index.search(exclude=out).total == 6

    def test_only_the_items_asked_for_are_looked_at_less_what_a_group_of_filters_leaves_out(
        self, index: Index
    ) -> None:
        index.write(
            *(document(str(n), "red", brand="ab"[n % 2], price=float(n), vector=unit(1)) for n in range(9))
        )
        only = frozenset({"0", "1", "2", "3", "unknown"})
        dear_b = (Terms(field="brand", values=("b",)), Range(field="price", gte=2.0))  # 3, 5, 7
        result = index.search(text=words("red"), vector=unit(1), only=only, unless=(dear_b, ()))
        assert keys(result.text) == keys(result.vector) == ["0", "1", "2"]
        assert index.listed(unless=(dear_b,)) == ["0", "1", "2", "4", "6", "8"]
        assert index.search(unless=(dear_b,), exclude=frozenset({"0", "3"})).total == 5
        assert index.listed(only=frozenset()) == []

    @pytest.mark.parametrize("share", [0.02, 0.5])
    def test_filters_hold_in_both_legs_whether_few_pass_or_many(self, index: Index, share: float) -> None:
        passing = {str(number) for number in range(int(200 * share))}
        index.write(
            *(document(str(n), "red", price=float(str(n) in passing), vector=unit(1, n)) for n in range(200))
        )
        result = index.search(
            text=words("red"), vector=unit(1), filters=(Terms(field="price", values=(1,)),), limit=200
        )
        assert set(keys(result.text)) == set(keys(result.vector)) == passing
        assert keys(result.vector) == sorted(passing, key=int)

    def test_a_listing_by_value_puts_items_without_one_last(self, index: Index) -> None:
        index.write(
            document("none"),
            document("two", price=2),
            document("both", price=(1, 9)),
            document("b", price=5),
            document("a", price=5),
        )
        assert index.listed(sort="price") == ["both", "two", "a", "b", "none"]
        assert index.listed(sort="-price") == ["both", "a", "b", "two", "none"]
        assert index.listed(sort="price", limit=3) == ["both", "two", "a"]

    def test_counts_are_of_the_candidates_of_both_legs(self, index: Index) -> None:
        index.write(
            document("1", "red", brand=("a", "b"), vector=unit(0, 1)),
            document("2", "blue", brand="b"),
            document("3", "blue", brand="c", vector=unit(0, 1)),
        )
        result = index.search(text=words("red"), vector=unit(1), floor=0.5, facets=("brand", "price"))
        assert (keys(result.text), keys(result.vector), result.total) == (["1"], ["2"], 2)
        assert result.facets == {"brand": {"a": 1, "b": 2}, "price": {}}

    def test_facet_values_have_the_kind_of_their_field(self, index: Index) -> None:
        index.write(document("1", brand="1", price=1, in_stock=True, released=1.0))
        facets = index.search(facets=("brand", "price", "in_stock", "released")).facets
        values = {name: next(iter(counts)) for name, counts in facets.items()}
        assert values == {"brand": "1", "price": 1.0, "in_stock": True, "released": 1.0}
        assert [type(value) for value in values.values()] == [str, float, bool, float]

    @pytest.mark.parametrize(
        "query",
        [
            {"filters": (Terms(field="colour", values=("red",)),)},
            {"filters": (Terms(field="price", values=("cheap",)),)},
            {"unless": ((Terms(field="colour", values=("red",)),),)},
            {"filters": (Terms(field="in_stock", values=("yes",)),)},
            {"filters": (Range(field="price", gte=float("nan")),)},
            {"filters": (Terms(field="brand", values=tuple(map(str, range(1001)))),)},
            {"filters": (Range(field="brand", gte=1.0),)},
            {"filters": (Range(field="in_stock", gte=0.0),)},
            {"facets": ("colour",)},
            {"sort": "colour"},
            {"sort": "brand"},
            {"limit": -1},
            {"text": words("red", weights={"subtitle": 1.0})},
            {"text": words("red", weights={**WEIGHTS, "title": -1.0})},
        ],
        ids=[
            "unknown filter",
            "no number",
            "unknown filter of a group",
            "no boolean",
            "NaN",
            "too many values",
            "range of keywords",
            "range of booleans",
            "unknown facet",
            "unknown sort",
            "sort by keyword",
            "negative limit",
            "unknown text field",
            "negative weight",
        ],
    )
    def test_a_query_that_does_not_fit_the_schema_names_the_parameter(
        self, index: Index, query: dict[str, Any]
    ) -> None:
        index.write(document("1"))
        with pytest.raises(InvalidRequest) as caught:
            index.search(**query)
        assert caught.value.parameter

    def test_an_empty_index_answers_with_nothing(self, index: Index) -> None:
        result = index.search(text=words("red"), vector=unit(1), facets=("brand",))
        assert (list(result.text), list(result.vector), result.total) == ([], [], 0)
        assert result.facets == {"brand": {}}
        assert index.search().total == 0
