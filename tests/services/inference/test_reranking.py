"""The first results are read beside the query, in time or not at all; then they stay as they were found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from llmrec_plugin.encoders.reranking import forget_rerankers
from llmrec_plugin.models import Configuration, Impression
from llmrec_plugin.services.explorer import comparison
from llmrec_plugin.services.explorer.comparison import ListQuery, ServingOverrides
from llmrec_plugin.services.inference import reranking
from llmrec_plugin.services.search import next_page, search
from llmrec_plugin.types import ResultPage, SearchRequest
from tests.contracts.tiny_model import make_tiny_cross_encoder
from tests.hostapp.models import Product
from tests.support.pages import some
from tests.support.serving import did, open_shop, silent

pytestmark = pytest.mark.django_db

WORDS = "tests.support.word_reranker"
QUERY = "steel garden hose"


@contextmanager
def reranked(**given: Any) -> Iterator[None]:
    rerank = {"model": WORDS, "items": 10, "seconds": 60, **given}
    with override_settings(LLMREC={**settings.LLMREC, "RERANK": rerank}):
        yield
    forget_rerankers()


@pytest.fixture
def shop() -> dict[str, Product]:
    return open_shop()


def find(text: str = QUERY, **values: Any) -> ResultPage:
    return some(search(SearchRequest(document="product", text=text, **values)))


def ids(page: ResultPage) -> list[str]:
    return [item.item_id for item in page.results]


def test_the_best_reading_comes_first_and_says_so(shop: dict[str, Product]) -> None:
    plain = find()
    assert not any("rerank" in item.contributions for item in plain.results)
    with reranked(weight=5.0):
        page = find()
    read = [item for item in page.results if "rerank" in item.contributions]
    assert len(read) == 10
    assert set(ids(page)[:10]) == set(ids(plain)[:10])
    assert ids(page)[10:] == ids(plain)[10:]
    gained = [item.contributions["rerank"] for item in read]
    assert max(gained) == pytest.approx(5.0)
    assert min(gained) == pytest.approx(0.0)
    assert page.results[0].contributions["rerank"] == max(gained)
    assert "A good answer to your search" in page.results[0].reasons
    for item in page.results:
        assert item.score == pytest.approx(sum(item.contributions.values()), abs=1e-6)
    assert page.degraded == ()
    assert page.total == plain.total


def test_pages_walk_the_reranked_list(shop: dict[str, Product]) -> None:
    with reranked(weight=5.0):
        whole = ids(find(limit=15))
        page = find(limit=4)
    walked = ids(page)
    while page.next and len(walked) < 15:  # by a process that reranks nothing
        page = next_page(page.next, user_key=None)
        walked += ids(page)
    assert walked[:15] == whole


def test_taste_counts_on_top_of_it(shop: dict[str, Product]) -> None:
    did("7", "view", [shop["steel desk lamp"]])
    with reranked(items=50):
        item = find("steel", user_key="7").results[0]
    assert {"rerank", "text"} <= item.contributions.keys()
    assert any(name.startswith("taste") for name in item.contributions)


@pytest.mark.parametrize(
    "given",
    [
        {"options": {"fault": "load"}},
        {"options": {"fault": "score"}},
        {"options": {"fault": "nan"}},
        {"options": {"fault": "slow"}, "seconds": 0.01},
        {"model": "tests.support.nothing_there"},
    ],
    ids=["no model", "lost", "no numbers", "too slow", "no module"],
)
def test_what_fails_or_takes_too_long_leaves_the_list_as_it_was_found(
    shop: dict[str, Product], given: dict[str, Any]
) -> None:
    plain = find()
    with reranked(**given):
        page = find()
    assert ids(page) == ids(plain)
    assert page.degraded == ("rerank",)
    assert Impression.objects.filter(degraded=["rerank"]).count() == 1


def test_only_searches_in_the_order_of_relevance_are_read(shop: dict[str, Product]) -> None:
    lost = {"model": WORDS, "options": {"fault": "score"}}  # so that it would be seen
    for changed in ({}, {"ENABLED": False}):
        with override_settings(LLMREC={**settings.LLMREC, "RERANK": lost, **changed}):
            for page in (find(""), find(sort="price")):
                assert page.degraded == ()
            assert find().degraded == (() if changed else ("rerank",))
            with silent():
                assert find().degraded[-1] == "engine"
    forget_rerankers()


def test_it_takes_the_rows_and_their_prefetches(shop: dict[str, Product]) -> None:
    counts = []
    rerank = {"model": WORDS, "seconds": 60}
    for llmrec in (settings.LLMREC, {**settings.LLMREC, "RERANK": rerank}):
        with override_settings(LLMREC=llmrec):
            find()
            with CaptureQueriesContext(connection) as queries:
                find()
        counts.append(len(queries))
    assert counts[1] - counts[0] == 2


def test_the_explorer_tells_it_in_words(shop: dict[str, Product]) -> None:
    with reranked():
        look = comparison.preview(
            ListQuery(document="product", text=QUERY), ServingOverrides(configuration=Configuration.current())
        )
    assert "rerank" in {part.name for part in look.positions[0].contributions}


@pytest.mark.model
def test_a_real_cross_encoder_reads_pairs(shop: dict[str, Product], tmp_path: Path) -> None:
    folder = make_tiny_cross_encoder(tmp_path / "cross")
    with reranked(model=str(folder)):
        reranking.warm_up()
        page, again = find(), find()
    assert page.degraded == ()
    assert max(item.contributions.get("rerank", 0.0) for item in page.results) == pytest.approx(1.0)
    assert ids(page) == ids(again)
