"""Items of several languages: told apart by a filter, and found across them by meaning."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import override_settings
from rest_framework.test import APIClient

from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.models import IndexVersion
from llmrec_plugin.services.indexing import index_audit
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.items.filter_matching import passing_rows
from llmrec_plugin.services.search import search
from llmrec_plugin.types import ResultPage, SearchRequest, Terms
from tests.hostapp.models import Course, Product

pytestmark = pytest.mark.django_db

TITLES = {
    "机器学习入门": "zh",
    "中国古代诗歌欣赏": "zh",
    "家庭烘焙基础": "zh",
    "An introduction to machine learning": "en",
    "Reading the poetry of the romantics": "en",
    "Baking bread at home for beginners": "en",
    "12-345": "",  # nothing to tell it by
}


class BookDocument(SearchDocument[Product]):
    label = "book"
    model = Product
    text_fields = ["title"]
    filter_fields = ["language", "price"]


@pytest.fixture
def shelf() -> Iterator[None]:
    registry.register(BookDocument)
    Product.objects.bulk_create(Product(title=title, price=1) for title in TITLES)
    yield
    registry.unregister(BookDocument)


@pytest.fixture
def books(shelf: None) -> None:
    build("book")
    IndexVersion.objects.update(floor=None)


def find(text: str, *languages: str) -> ResultPage:
    filters = (Terms(field="language", values=languages),) if languages else ()
    return search(SearchRequest(document="book", text=text, filters=filters, facets=("language",)))


def languages(page: ResultPage) -> set[str]:
    return {TITLES[item.title] for item in page.results}


@pytest.mark.usefixtures("books")
def test_the_language_of_each_item_is_filtered_and_counted() -> None:
    assert dict(find("").facets["language"]) == {"zh": 3, "en": 3}
    assert languages(find("", "zh")) == {"zh"}
    assert len(find("", "zh").results) == 3
    assert languages(find("machine 机器", "en")) == {"en"}
    assert languages(find("machine 机器")) >= {"zh", "en"}
    assert len(find("", "zh", "en").results) == 6


@pytest.mark.usefixtures("books")
def test_over_rest_it_is_a_filter_like_any_other() -> None:
    found = APIClient().get("/api/search/?document=book&language=zh&facets=language").json()
    assert {item["title"] for item in found["results"]} == {t for t, code in TITLES.items() if code == "zh"}
    assert found["facets"]["language"] == [{"value": "zh", "count": 3}]


@pytest.mark.usefixtures("books")
def test_index_and_rows_agree_on_it() -> None:
    assert index_audit.audit("book").stale == ()
    keys = [item.item_id for item in find("").results]
    by_rows = passing_rows(registry.get("book"), keys, wanted=[Terms(field="language", values=("en",))])
    assert by_rows == {item.item_id for item in find("", "en").results}


@pytest.mark.usefixtures("shelf")
def test_a_site_that_tells_the_language_itself_is_believed() -> None:
    class Told(BookDocument):
        def prepare_language(self, obj: Product) -> str:
            return "zh-Hant" if obj.title == "12-345" else ""

    document = Told()
    values = {obj.title: document.filter_of(obj, "language") for obj in document.get_queryset()}
    assert values == {**TITLES, "12-345": "zh"}
    assert document.filter_kinds()["language"] == "keyword"


def test_a_field_of_the_model_stays_what_it_is() -> None:
    document = registry.get("course")
    course = Course(title="Über Brot", body="", language="de-AT")
    assert document.filter_of(course, "language") == "de-AT"


@pytest.mark.usefixtures("shelf")
def test_one_field_can_be_asked_for_alone() -> None:
    document = registry.get("book")
    values = {obj.title: document.filter_of(obj, "language") for obj in document.get_queryset()}
    assert values == {title: code or None for title, code in TITLES.items()}
    assert document.filter_kinds() == {"language": "keyword", "price": "number"}


@pytest.mark.model
@pytest.mark.usefixtures("shelf")
def test_a_query_in_one_language_finds_items_of_the_other() -> None:
    llmrec = {**settings.LLMREC, "ENCODER": "intfloat/multilingual-e5-small", "ENCODER_OPTIONS": {}}
    with override_settings(LLMREC=llmrec):
        build("book")
        for query, title in {
            "machine learning for beginners": "机器学习入门",
            "how to bake at home": "家庭烘焙基础",
            "ancient Chinese poems": "中国古代诗歌欣赏",
        }.items():
            assert find(query, "zh").results[0].title == title
            assert title in [item.title for item in find(query).results[:3]]
        assert find("烤面包", "en").results[0].title == "Baking bread at home for beginners"
