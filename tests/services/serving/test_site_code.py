"""Code of the site's own may raise anything: lists do without it, say so, and the health page names it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.test import override_settings
from django.utils.functional import lazystr
from rest_framework.test import APIClient

from llmrec_plugin.contributions import contributions, register_contribution
from llmrec_plugin.documents import (
    Contribution,
    SearchDocument,
    SignalContext,
    Signals,
    UserDocument,
    ValueSignal,
    register_signal,
)
from llmrec_plugin.documents.signals import signals
from llmrec_plugin.encoders.reranking import forget_rerankers
from llmrec_plugin.models import Configuration, Placement
from llmrec_plugin.services import indexing, recommendations
from llmrec_plugin.services.coordination import caches, site_code
from llmrec_plugin.services.inference import query_embeddings
from llmrec_plugin.services.recommendations import (
    ListStrategy,
    RecommendationContext,
    register_strategy,
    unregister_strategy,
)
from llmrec_plugin.services.search import autocomplete, next_page, search
from llmrec_plugin.types import RankedItem, ResultPage, Scalar, SearchRequest
from tests.hostapp.models import Course, Learner, Product
from tests.support import moody_encoder
from tests.support.indexed import declared
from tests.support.pages import some, titles
from tests.support.serving import open_shop

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def well() -> Iterator[None]:
    site_code._failing.clear()
    moody_encoder.reset()
    yield
    site_code._failing.clear()
    moody_encoder.reset()
    forget_rerankers()


@contextmanager
def settings_with(**changes: Any) -> Iterator[None]:
    with override_settings(LLMREC={**django_settings.LLMREC, **changes}):
        yield


def find(text: str = "steel lamp", document: str = "product", **more: Any) -> ResultPage:
    return some(search(SearchRequest(document=document, text=text, **more)))


def checks() -> dict[str, str]:
    answer = APIClient().get("/api/health/ready/")
    assert answer.status_code == 200
    found: dict[str, str] = answer.json()["checks"]
    return found


@pytest.mark.parametrize("fault", ["stumbles", "wrong code"])
def test_a_reranker(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    open_shop()
    indexing.build("course")
    plain = find()
    rerank = {"model": "tests.support.word_reranker", "seconds": 60, "options": {"fault": fault}}
    with settings_with(RERANK=rerank), caplog.at_level(logging.ERROR):
        page = find()
        assert checks()["reranker"] == "failing"
    assert titles(page) == titles(plain)
    assert page.degraded == ("rerank",)
    assert "part=reranker error=KeyError" in caplog.text
    assert "steel lamp" not in caplog.text


def test_an_encoder() -> None:
    with settings_with(ENCODER="tests.support.moody_encoder", ENCODER_OPTIONS={}):
        open_shop()
        indexing.build("course")
        moody_encoder.mood.stumbles = True
        page = find("a lamp that nobody asked for before")
        assert page.degraded == ("vector",)
        assert checks()["encoder product"] == "encoder_unavailable"
        moody_encoder.mood.stumbles = False
        caches.write(query_embeddings._pause_key(indexing.build("product").index_version), 1, seconds=0)
        assert find("a lamp that nobody asked for before").degraded == ()
        assert checks()["encoder product"] == "ok"


class Luck(ValueSignal):
    name = "luck"
    kind = "number"
    contribution = Contribution(name="luck", label="luck")

    def value(self, found: Sequence[Scalar], context: SignalContext) -> float:
        raise ZeroDivisionError


def test_a_signal() -> None:
    class Lucky(SearchDocument[Course]):
        model = Course
        label = "lucky"
        text_fields = ["title"]
        filter_fields = ["level"]
        signals = Signals(luck="level")

    register_signal(Luck)
    try:
        with declared(Lucky):
            Course.objects.create(title="Steel lamps")
            for label in ("lucky", "product", "course"):
                indexing.build(label)
            assert find("steel", "lucky").degraded == ()
            Configuration.objects.create(signal_weights={"luck": 1.0})
            page = find("steel", "lucky")
            assert titles(page) == ["Steel lamps"]
            assert page.degraded == ("signals",)
            assert checks()["signal luck"] == "failing"
            Configuration.objects.update(signal_weights={})
            Configuration.begin_edition(using="default")
            assert find("steel", "lucky").degraded == ()
    finally:
        signals.unregister("luck")
        contributions.unregister("luck")


class Wild(ListStrategy):
    name = "wild"
    label = "wild"
    can_fill = True
    query = ""

    def candidates(self, context: RecommendationContext) -> Sequence[RankedItem]:
        if self.query:
            with connection.cursor() as cursor:
                cursor.execute(self.query)
        raise AttributeError("taste")


@pytest.fixture
def wild() -> Iterator[None]:
    register_strategy(Wild)
    yield
    unregister_strategy(Wild)


def test_a_strategy_leaves_its_fallbacks(wild: None) -> None:
    open_shop()
    indexing.build("course")
    page = recommendations.recommend("wild", document="product")
    assert titles(page) == titles(recommendations.recommend("latest", document="product"))
    assert page.degraded == ("strategy",)
    assert checks()["strategy wild"] == "failing"


def test_a_strategy_that_fills_up_others_leaves_the_rest(wild: None) -> None:
    open_shop()
    Placement.objects.create(name="home", type="trending", document="product", fallback=["wild"])
    page = recommendations.recommend("home", document="product")
    assert page.results
    assert page.degraded == ("strategy",)


def test_a_query_of_a_strategy_that_fails_spoils_no_transaction(
    wild: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_shop()
    monkeypatch.setattr(Wild, "query", "SELECT nothing FROM nowhere")
    with transaction.atomic():
        page = recommendations.recommend("wild", document="product")
        assert Product.objects.count() == 30
    assert page.degraded == ("strategy",)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(Wild.query)


class Moody(SearchDocument[Course]):
    model = Course
    label = "moody"
    text_fields = ["title", "body"]
    stumbles = False

    def prepare_body(self, course: Course) -> str:
        if type(self).stumbles:
            raise RuntimeError(course.body)
        return course.body

    def get_title(self, course: Course) -> str:
        return self.prepare_body(course) and course.title

    def get_absolute_url(self, course: Course) -> str:
        return self.prepare_body(course) and "/there/"


class Particular(Moody):
    label = "particular"

    def prepare(self, course: Course) -> Any:
        return super().prepare(course)


@pytest.mark.parametrize("declaration", [Moody, Particular])
def test_a_declaration(declaration: type[Moody], monkeypatch: pytest.MonkeyPatch) -> None:
    label = declaration.label
    course = Course.objects.create(title="Steel lamps", body="made of steel")
    with declared(declaration):
        for name in (label, "product", "course"):
            indexing.build(name)
        well = find("steel", label)
        assert dict(well.results[0].highlights) == {
            "title": "<mark>Steel</mark> lamps",
            "body": "made of <mark>steel</mark>",
        }
        monkeypatch.setattr(Moody, "stumbles", True)
        (item,) = find("steel", label).results
        assert (item.object, item.title, dict(item.highlights)) == (course, str(course.pk), {})
        (suggested,) = autocomplete.suggest("stee", document=label).items
        assert (suggested.title, suggested.url) == (str(course.pk), "")
        assert len(some(recommendations.recommend("latest", document=label)).results) == 1
        assert recommendations.similar(label, course.pk).results == ()
        assert checks()[f"document {label}"] == "failing"


class Untranslatable:
    def __str__(self) -> str:
        raise ValueError("no such language")


class Lucky(ListStrategy):
    name = "lucky"
    label = "lucky"

    def candidates(self, context: RecommendationContext) -> Sequence[RankedItem]:
        rows = context.document.get_queryset().order_by("pk")
        return [RankedItem(str(pk), 1.0, {"lucky": 1.0}) for pk in rows.values_list("pk", flat=True)]


def test_a_sentence() -> None:
    open_shop()
    indexing.build("course")
    register_contribution(Contribution(name="lucky", label="lucky", sentence=lazystr(Untranslatable())))
    register_strategy(Lucky)
    try:
        page = recommendations.recommend("lucky", document="product", limit=3)
        assert [item.reasons for item in page.results] == [(), (), ()]
        assert page.degraded == ("reasons",)
        assert checks()["reason lucky"] == "failing"
        assert page.next
        assert len(next_page(page.next, user_key=None).results) == 3
    finally:
        contributions.unregister("lucky")
        unregister_strategy(Lucky)


def test_what_a_site_knows_of_people() -> None:
    class Talkative(UserDocument[Learner]):
        model = Learner
        text_fields = ["interests"]
        user_field = "user_id"

        def prepare(self, learner: Learner) -> str:
            raise LookupError(learner.interests)

    open_shop()
    indexing.build("course")
    user = User.objects.create_user("ada")
    Learner.objects.create(user=user, interests="gardens")
    with declared(Talkative):
        page = recommendations.recommend("for-you", document="product", user_key=str(user.pk))
        assert page.results
        assert page.degraded == ("profile",)
        assert checks()["people"] == "failing"


def test_an_engine() -> None:
    open_shop()
    indexing.build("course")
    with settings_with(BACKEND="tests.support.stumbling_engine"):
        page = find()
        assert page.results
        assert page.degraded == ("engine",)
        assert autocomplete.suggest("stee", document="product").degraded == ("engine",)
        pot = Product.objects.first()
        assert pot is not None
        near = recommendations.similar("product", pot.pk)
        assert near.results
        assert near.degraded == ("engine",)
        assert checks()["engine"] == "failing"
    assert find().degraded == ()
    assert checks()["engine"] == "ok"


def test_what_a_strategy_answers_to_a_wrong_question_is_still_its_answer(wild: None) -> None:
    answer = APIClient().get("/api/recommendations/similar/?document=product&item_id=1")
    assert answer.status_code == 404
