"""Judgements by hand and the quality that follows from them."""

from __future__ import annotations

import pytest

from llmrec_plugin.celery_tasks import measure_search
from llmrec_plugin.exceptions import InvalidRequest, NotBuilt
from llmrec_plugin.models import Impression, Judgment, SearchQuality
from llmrec_plugin.services.search_quality import judgments
from tests.hostapp.models import Product
from tests.support.serving import open_shop
from tests.support.trials import running

pytestmark = pytest.mark.django_db

QUERY = "wooden desk lamp"


@pytest.fixture
def shop() -> dict[str, Product]:
    return open_shop()


def test_what_is_found_can_be_graded_and_is_shown_with_its_grades(shop: dict[str, Product]) -> None:
    first, second = judgments.candidates("product", QUERY)[:2]
    assert (first.title, first.grade) == (QUERY, None)
    assert "for desk lovers" in first.excerpt
    assert judgments.judge("product", QUERY, {first.key: 3, second.key: 0}) == 2
    again = judgments.candidates("product", QUERY)
    assert [item.grade for item in again[:3]] == [3, 0, None]
    assert judgments.judge("product", QUERY, {first.key: 3, second.key: None}) == 1
    assert judgments.grades_of("product", QUERY) == {first.key: 3}


def test_looking_at_results_to_grade_them_leaves_no_trace(shop: dict[str, Product]) -> None:
    running(overrides={"text_weight": 0.0}, share=1000)
    judgments.candidates("product", QUERY)
    assert not Impression.objects.exists()


def test_grades_by_hand_join_those_of_an_imported_file(shop: dict[str, Product]) -> None:
    key = str(shop[QUERY].pk)
    Judgment.objects.create(document="product", query_id="q7", query=QUERY, item_id=key, grade=1)
    judgments.judge("product", QUERY, {key: 2, "999": 0})
    assert set(Judgment.objects.values_list("query_id", "item_id", "grade")) == {
        ("q7", key, 2),
        ("q7", "999", 0),
    }


@pytest.mark.parametrize(("query", "grade"), [(QUERY, 4), (QUERY, -1), ("", 1), ("x" * 501, 1)])
def test_what_cannot_be_a_judgement_is_refused(query: str, grade: int) -> None:
    with pytest.raises(InvalidRequest):
        judgments.judge("product", query, {"1": grade})
    assert not Judgment.objects.exists()


def test_quality_is_put_on_record_with_what_was_live(shop: dict[str, Product]) -> None:
    assert judgments.measure("product") is None
    judgments.judge("product", QUERY, {str(shop[QUERY].pk): 3})
    judgments.judge("product", "steel garden hose", {str(shop["steel garden hose"].pk): 3})
    judgments.judge("product", "no use", {str(shop[QUERY].pk): 0})
    best = judgments.measure("product")
    assert best is not None
    assert (best.queries, best.ndcg, best.condensed_ndcg) == (2, 1.0, 1.0)
    assert best.judged == pytest.approx(0.1)
    assert best.index_version is not None
    # a second wanted item that is found nowhere near the top: 1 / (1 + 1 / log2(3)) = 0.613 for that query
    judgments.judge("product", QUERY, {"999": 3})
    worse = judgments.measure("product")
    assert worse is not None
    assert worse.ndcg == pytest.approx((1 + 0.6131) / 2, abs=1e-3)


def test_every_night_all_documents_with_judgements_are_measured(shop: dict[str, Product]) -> None:
    judgments.judge("product", QUERY, {str(shop[QUERY].pk): 3})
    assert measure_search.apply().get() == 1
    assert SearchQuality.objects.get().document == "product"


def test_without_an_index_nothing_can_be_graded_or_measured() -> None:
    with pytest.raises(NotBuilt):
        judgments.candidates("product", QUERY)
    assert judgments.measure_all() == 0
