"""Synonyms as editors write them: at once, both ways or one, per language and document."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.models import IndexVersion, Synonym
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.search import next_page, search
from llmrec_plugin.types import ResultPage, SearchRequest
from tests.hostapp.models import Course
from tests.support.serving import open_shop

pytestmark = pytest.mark.django_db


def find(text: str, *, document: str = "product", **values: Any) -> ResultPage:
    return search(SearchRequest(document=document, text=text, **{"limit": 100, **values}))


def by_words(text: str, *, document: str = "product", **values: Any) -> set[str]:
    """Titles of what words found."""
    page = find(text, document=document, **values)
    return {item.title for item in page.results if "text" in item.contributions}


def two_way(*words: str, **fields: Any) -> Synonym:
    return Synonym.objects.create(words="\n".join(words), **fields)


def one_way(words: str, found: str, **fields: Any) -> Synonym:
    return Synonym.objects.create(kind="one-way", words=words, found=found, **fields)


LAMPS = {"steel desk lamp", "wooden desk lamp"}
HOSES = {"steel garden hose", "wooden garden hose"}


def test_a_synonym_counts_from_the_next_search_on_and_is_told() -> None:
    open_shop()
    assert by_words("luminaire") == set()
    row = two_way("luminaire", "lamp")
    page = find("luminaire")
    assert by_words("luminaire") == LAMPS
    assert page.synonyms == {"luminaire": ("lamp",)}
    assert page.did_you_mean is None
    assert page.results[0].highlights["title"].endswith("<mark>lamp</mark>")
    assert find("hose").synonyms == {}
    row.enabled = False
    row.save()
    assert by_words("luminaire") == set()
    row.enabled = True
    row.save()
    Synonym.objects.all().delete()
    assert by_words("luminaire") == set()


def test_two_ways_go_back_and_one_way_does_not() -> None:
    open_shop()
    two_way("hose", "lamp")
    assert by_words("hose") == by_words("lamp") == HOSES | LAMPS
    Synonym.objects.all().delete()
    one_way("hose", "lamp")
    assert by_words("hose") == HOSES | LAMPS
    assert by_words("lamp") == LAMPS


def test_other_forms_of_a_word_count_too() -> None:
    open_shop()
    two_way("luminaire", "lamp")
    assert by_words("Luminaires") == LAMPS


def test_a_synonym_of_several_words_must_stand_side_by_side() -> None:
    open_shop()
    one_way("sprinkler", "garden hoses")
    assert by_words("sprinkler") == HOSES  # and no other item "for garden lovers"
    one_way("thing to write with", "fountain pen")
    assert {"steel fountain pen", "wooden fountain pen"} <= by_words("thing to write with")
    assert find("thing to write").synonyms == {}


def test_sorted_by_a_field_a_synonym_stands_for_its_word() -> None:
    open_shop()
    two_way("luminaire", "lamp")
    page = find("wooden luminaire", sort="price")
    assert [item.title for item in page.results] == ["wooden desk lamp"]
    assert page.relaxed == ""


def test_a_synonym_may_be_for_one_language_or_one_document() -> None:
    open_shop()
    Course.objects.create(title="电脑入门")
    build("course")
    IndexVersion.objects.update(floor=None)
    two_way("lamp", "hose", language="zh")
    two_way("计算机", "电脑", language="zh")
    two_way("tray", "hose", document="course")
    assert by_words("lamp") == LAMPS
    assert "steel garden hose" not in by_words("tray")
    assert by_words("计算机", document="course") == {"电脑入门"}
    assert find("計算機入門", document="course").synonyms == {"计算机": ("电脑",)}


def test_a_chinese_synonym_counts_for_whole_words_only() -> None:
    open_shop()
    two_way("和服", "lamp")
    assert find("和服").synonyms == {"和服": ("lamp",)}
    assert find("设计和服务").synonyms == {}


def test_later_pages_mark_synonyms_as_well() -> None:
    open_shop(copies=4)
    two_way("luminaire", "lamp")
    first = find("luminaire", limit=1)
    assert first.next is not None
    assert "<mark>lamp</mark>" in next_page(first.next, user_key=None).results[0].highlights["title"]


def test_it_costs_one_query_after_a_change_and_none_otherwise(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    open_shop()
    two_way("luminaire", "lamp")
    find("lamp")
    with django_assert_num_queries(4):
        assert find("lamp", limit=5).synonyms
    two_way("tray", "platter")
    with CaptureQueriesContext(connection) as after:
        find("lamp", limit=5)
    assert len([query for query in after if "llmrec_plugin_synonym" in query["sql"]]) == 1


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"words": "tv"}, "words"),
        ({"words": ""}, "words"),
        ({"words": "tv\ntv"}, "words"),
        ({"words": "tv\ntelly", "found": "x"}, "found"),
        ({"words": "tv", "kind": "one-way"}, "found"),
        ({"words": "", "kind": "one-way", "found": "x"}, "words"),
        ({"words": "\n".join(map(str, range(51)))}, "words"),
        ({"words": "tv\n" + "x" * 101}, "words"),
        ({"words": "tv\n!!"}, "words"),
        ({"words": "tv", "kind": "one-way", "found": "…"}, "found"),
    ],
)
def test_what_makes_no_synonym_is_refused(fields: dict[str, str], wrong: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Synonym(**fields).full_clean()
    assert wrong in caught.value.message_dict


def test_a_row_reads_like_what_it_does() -> None:
    assert str(Synonym(words="tv\n telly ")) == "tv, telly"
    assert str(Synonym(kind="one-way", words="beamer", found="projector\nlamp")) == "beamer → projector, lamp"
