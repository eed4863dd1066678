"""What every engine must know of single words: phrases, spelling and beginnings; part of BackendContract."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_plugin.backends.base import SearchBackend
from llmrec_plugin.contracts.backend_model import Index, document, examples, holds, keys, unit, words
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.types import Phrase, Removal, Spelled

_titles = st.lists(st.sampled_from(["red", "blue", "hat", "机", "器"]), max_size=6).map(" ".join)


def phrase(*terms: str) -> Phrase:
    return Phrase(terms=terms, text=" ".join(terms))


def spelled(*exact: str) -> tuple[Spelled, ...]:
    return tuple(Spelled(exact=word, terms=(word,)) for word in exact)


class WordsContract:
    @examples
    @given(
        titles=st.lists(st.tuples(_titles, _titles), min_size=1, max_size=8),
        asked=st.lists(st.sampled_from(["red", "blue", "hat", "机", "器"]), min_size=1, max_size=3),
    )
    def test_a_phrase_holds_in_both_legs_and_in_listings_and_what_is_not_wanted_is_in_none(
        self, backend: SearchBackend, titles: list[tuple[str, str]], asked: list[str]
    ) -> None:
        index = Index(backend)
        items = [document(str(n), title, body=body) for n, (title, body) in enumerate(titles)]
        index.write(*items)
        wanted = phrase(*asked)
        holding = {one.key for one in items if holds(one, wanted)}
        everywhere: tuple[dict[str, Any], ...] = ({}, {"vector": unit(1)}, {"text": words(*asked)})
        for query in everywhere:
            for given_, expected in (
                ({"phrases": (wanted,)}, holding),
                ({"without": (wanted,)}, {one.key for one in items} - holding),
            ):
                result = index.search(**query, **given_)
                found = {*keys(result.text), *keys(result.vector), *keys(result.listing)}
                if "text" in query:
                    assert found <= expected
                else:
                    assert found == expected
                assert result.total == len(found)
        backend.drop_index(index.name)

    def test_a_phrase_follows_changes_and_deletes(self, index: Index) -> None:
        index.write(document("1", "red hat"), document("2", "red hat"))
        assert index.listed(phrases=(phrase("red", "hat"),)) == ["1", "2"]
        index.write(document("1", "hat red", revision=2), deletes=[Removal(key="2", revision=2)])
        assert index.listed(phrases=(phrase("red", "hat"),)) == []
        assert index.listed(without=(phrase("red", "hat"),)) == ["1"]

    def test_all_phrases_are_demanded_and_each_unwanted_one_refused(self, index: Index) -> None:
        index.write(document("1", "red hat", body="blue"), document("2", "red hat"), document("3", "blue"))
        assert index.listed(phrases=(phrase("red", "hat"), phrase("blue"))) == ["1"]
        assert index.listed(without=(phrase("red", "hat"), phrase("blue"))) == []

    def test_a_phrase_that_asks_for_nothing_changes_nothing(self, index: Index) -> None:
        index.write(document("1", "red"))
        assert index.listed(phrases=(Phrase(terms=()),), without=(Phrase(terms=()),)) == ["1"]

    def test_every_word_can_be_demanded(self, index: Index) -> None:
        index.write(document("1", "red", body="hat"), document("2", "red"), document("3", "caps"))
        assert index.found("red", "hat") == ["1", "2"]
        every = [words("red", ("hat", "caps"), every=True), words("red", "", every=True)]
        assert [keys(index.search(text=text).text) for text in every] == [["1"], []]

    @pytest.mark.parametrize("every", [False, True])
    def test_an_alternative_of_several_terms_is_found_side_by_side(self, index: Index, every: bool) -> None:
        index.write(
            document("1", "television set"),
            document("2", "set", body="television"),
            document("3", "set television"),
            document("4", "tv"),
        )
        tv = words(("tv", "television set"), every=every)
        assert sorted(keys(index.search(text=tv).text)) == ["1", "4"]
        both = words("set", ("tv", "television set"), every=True)
        assert keys(index.search(text=both).text) == ["1"]

    def test_words_are_looked_for_as_analysed_and_phrases_as_written(self, index: Index) -> None:
        index.write(replace(document("1", "walk dog"), exact={"title": "walking dogs"}))
        assert (index.found("walk"), index.found("walking")) == (["1"], [])
        assert index.listed(phrases=(phrase("walking", "dogs"),)) == ["1"]
        assert index.listed(phrases=(phrase("walk", "dog"),)) == []
        both = words(("walk dog", "walking dogs"))
        assert keys(index.search(text=both).text) == ["1"]
        found = index.search(text=words("x"), spelling=spelled("wolking", "walk")).spelling
        assert found == {"wolking": ("walking",)}

    def test_values_of_an_unknown_field_are_refused(self, index: Index) -> None:
        with pytest.raises(InvalidRequest) as caught:
            index.search(text=words("red"), values=("colour",))
        assert caught.value.parameter == "values"

    def test_a_word_that_no_item_holds_gets_the_nearest_ones_and_the_others_none(self, index: Index) -> None:
        index.write(
            document("1", "wooden garden lamp"),
            document("2", "garden lamps", body="gardon"),
            document("3", "garden"),
        )
        found = index.search(
            text=words("x"), spelling=spelled("gardn", "lamp", "wodoen", "lmp", "arden", "gardener", "xyz")
        ).spelling
        # gardn: one letter from garden (3 items) and from gardon (1); wodoen: two swapped; lmp: too short;
        # arden: another first letter; gardener: two letters more than garden, of eight
        assert dict(found) == {
            "gardn": ("garden", "gardon"),
            "wodoen": ("wooden",),
            "lmp": (),
            "arden": (),
            "gardener": ("garden",),
            "xyz": (),
        }

    def test_a_word_is_known_by_any_of_its_forms(self, index: Index) -> None:
        index.write(document("1", "lamp"))
        asked = Spelled(exact="lamps", terms=("lampz", "lamp"))
        assert index.search(text=words("x"), spelling=(asked,)).spelling == {}

    def test_items_are_found_by_the_beginnings_of_their_words_the_shortest_first(self, index: Index) -> None:
        index.write(
            document("1", "wooden garden lamp"),
            document("2", "garden lamp"),
            document("3", "lamp garage"),
            document("4", "机器", starts="机器学习 jiqixuexi jqxx"),
        )
        suggest = index.backend.suggest
        assert suggest(index.name, ["gar"], limit=9) == ["2", "3", "1"]
        assert suggest(index.name, ["gar"], limit=1) == ["2"]
        assert suggest(index.name, ["lamp", "ga"], limit=9) == ["2", "3", "1"]
        assert suggest(index.name, ["jiqix"], limit=9) == ["4"]
        assert suggest(index.name, ["机器学"], limit=9) == ["4"]
        for nothing in ([], [""], ["arden"], ["garden", "xyz"]):
            assert suggest(index.name, nothing, limit=9) == []
        assert suggest(index.name, ["gar"], limit=0) == []

    def test_a_beginning_may_be_a_word_typed_wrong_where_that_is_allowed(self, index: Index) -> None:
        index.write(document("1", "garden lamp"), document("2", "wooden tray"))
        suggest = index.backend.suggest
        assert suggest(index.name, ["gadren"], limit=9) == []
        assert suggest(index.name, ["gadren"], limit=9, fuzzy=True) == ["1"]
        assert suggest(index.name, ["gadren", "la"], limit=9, fuzzy=True) == ["1"]
        assert suggest(index.name, ["arden"], limit=9, fuzzy=True) == []

    def test_beginnings_follow_changes_and_deletes(self, index: Index) -> None:
        index.write(document("1", "garden"), document("2", "garden"))
        index.write(document("1", "lamp", revision=2), deletes=[Removal(key="2", revision=2)])
        assert index.backend.suggest(index.name, ["gar"], limit=9) == []
        assert index.backend.suggest(index.name, ["la"], limit=9) == ["1"]

    @pytest.mark.parametrize("typed", ['"', "*", "a*", "OR", "NOT", '"a" OR "b', "(", "^a", "term:a", "a\\"])
    def test_what_looks_like_an_operator_begins_nothing(self, index: Index, typed: str) -> None:
        index.write(document("1", "apple"))
        assert index.backend.suggest(index.name, [typed], limit=9) == []
        assert index.listed(phrases=(phrase(typed),)) == []
        assert index.search(text=words("x"), spelling=spelled(typed)).spelling == {typed: ()}
