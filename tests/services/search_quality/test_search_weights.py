"""Weights of search by judgements and clicks: planted sites whose right weight is known, real searches."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from llmrec_plugin.models import (
    Configuration,
    ConfigurationChange,
    Impression,
    IndexVersion,
    Interaction,
    Judgment,
    SearchWeightRun,
)
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.search import pipeline
from llmrec_plugin.services.search_quality import judgments, weight_learning, weight_report
from llmrec_plugin.services.serving.variants import Variant
from llmrec_plugin.services.training import runs
from llmrec_plugin.types import RankedItem, SearchRequest
from tests.hostapp.models import Product
from tests.support.serving import MATERIALS, THEMES, did, open_shop, silent
from tests.support.trials import running

pytestmark = pytest.mark.django_db

WORDS = sorted({word for things in THEMES.values() for thing in things for word in thing.split()})
QUERIES = [f"{material} {word}" for word in WORDS for material in MATERIALS]


@pytest.fixture
def shop() -> dict[str, Product]:
    return open_shop(copies=4)


def found(query: str, **weights: float) -> list[RankedItem]:
    configuration = Configuration.current().with_overrides(weights)
    variant = Variant(configuration=configuration)
    return list(pipeline.ranked_list(SearchRequest(document="product", text=query), variant).items)


def by_leg(query: str, *, text_weight: float) -> list[str]:
    return [item.key for item in found(query, text_weight=text_weight)]


def judge_by(leg: Callable[[str], Sequence[str]], queries: Sequence[str] = QUERIES[:60]) -> None:
    Judgment.objects.bulk_create(
        Judgment(document="product", query_id=query, query=query, item_id=key, grade=grade)
        for query in queries
        for key, grade in zip(leg(query)[:5], (3, 2, 2, 1, 1), strict=False)
    )


def learned(name: str = "text_weight") -> float | None:
    pair = live_pair("product")
    current = Configuration.current()
    counted: float = getattr(current.for_search("product", pair.index_version.encoder_id), name)
    return None if counted == getattr(current, name) else counted


def told(choice: SearchWeightRun) -> str:
    return " ".join(weight_report.sentences(choice))


@pytest.mark.parametrize(("right", "nearest"), [(1.0, 0.8), (0.0, 0.2)])
def test_judgements_find_the_leg_that_is_right_and_searches_follow(
    shop: dict[str, Product], right: float, nearest: float
) -> None:
    judge_by(lambda query: by_leg(query, text_weight=right))
    before = judgments.measure("product")
    choice = weight_learning.learn_search_weights("product", by="ada")
    after = judgments.measure("product")
    assert choice.adopted
    weight = learned()
    assert weight is not None
    assert abs(weight - right) <= abs(nearest - right)
    assert before is not None
    assert after is not None
    assert after.ndcg > before.ndcg + 0.02
    assert Configuration.current().text_weight == 0.5  # the editors' own
    assert "counts instead of 0.50" in told(choice)
    newest = ConfigurationChange.objects.first()
    assert newest is not None
    assert (newest.by, newest.values["search_weights"]["product"]["text_weight"]) == ("ada", weight)


def test_the_history_leads_back(shop: dict[str, Product]) -> None:
    judge_by(lambda query: by_leg(query, text_weight=1.0))
    weight_learning.learn_search_weights("product", by="ada")
    former = ConfigurationChange.objects.all()[1]
    Configuration.current().with_overrides(former.known_values()).save()
    assert learned() is None


def test_judgements_without_sense_change_nothing(shop: dict[str, Product]) -> None:
    rng = random.Random(3)
    keys = [str(product.pk) for product in shop.values()]
    judge_by(lambda query: rng.sample(keys, 5))
    choice = weight_learning.learn_search_weights("product", by="ada")
    assert not choice.adopted
    assert learned() is None
    assert "0.50 stays" in told(choice)
    assert not ConfigurationChange.objects.exists()


def test_few_judgements_and_clicks_change_nothing_and_say_so(shop: dict[str, Product]) -> None:
    judge_by(lambda query: by_leg(query, text_weight=1.0), QUERIES[:49])
    choice = weight_learning.learn_search_weights("product", by="ada")
    assert not choice.adopted
    assert "49 of 50 judged queries and 0 of 200 clicks" in told(choice)


def test_editors_own_weights_are_left_alone(shop: dict[str, Product]) -> None:
    judge_by(lambda query: by_leg(query, text_weight=1.0))
    Configuration(text_weight=0.4, search_learned=False).save()
    choice = weight_learning.learn_search_weights("product", by="ada")
    assert not choice.adopted
    assert "Editors want their own weights" in told(choice)
    assert (Configuration.current().text_weight, learned()) == (0.4, None)


def test_what_was_learned_counts_for_its_encoder_alone_and_an_arm_turns_it_itself(
    shop: dict[str, Product],
) -> None:
    pair = live_pair("product")
    entry = {"encoder_id": pair.index_version.encoder_id, "text_weight": 1.0, "taste_weight": 0.0}
    Configuration(search_weights={"product": entry}).save()
    assert {name for item in found("steel pen") for name in item.contributions} == {"text"}
    assert "vector" in found("steel pen", text_weight=0.3)[0].contributions
    current = Configuration.current()
    assert current.for_search("course", entry["encoder_id"]).text_weight == 0.5  # type: ignore[arg-type]
    assert current.for_search("product", "another").text_weight == 0.5
    assert (
        current.with_overrides({"text_weight": 0.3})
        .for_search("product", pair.index_version.encoder_id)
        .taste_weight
        == 0.0
    )


def test_while_searches_are_compared_they_stay_as_they_are(shop: dict[str, Product]) -> None:
    judge_by(lambda query: by_leg(query, text_weight=1.0))
    running(overrides={"text_weight": 0.1})
    choice = weight_learning.learn_search_weights("product", by="ada")
    assert not choice.adopted
    assert "An experiment on searches is running" in told(choice)


def visit(query: str, user: str, items: Sequence[RankedItem], taken: Sequence[str]) -> None:
    """The user searched an hour ago, and took these of what they were shown."""
    at = timezone.now() - timedelta(hours=1)
    impression = Impression.objects.create(
        user_key=user,
        document="product",
        placement="search",
        query=query,
        ranking=[[item.key, dict(item.contributions)] for item in items],
        shown=len(items),
        total=len(items),
        index_version=IndexVersion.objects.get(document="product"),
    )
    Impression.objects.filter(pk=impression.pk).update(at=at)
    Interaction.objects.bulk_create(
        Interaction(
            user_key=user,
            document="product",
            item_id=key,
            kind="click",
            at=at + timedelta(minutes=1),
            request_id=impression.pk,
        )
        for key in taken
    )


def configured_long_ago(**values: float) -> None:
    Configuration(**values).save()
    ConfigurationChange.objects.update(at=timezone.now() - timedelta(days=2))


def visits(
    liked: Callable[[str], Sequence[str]], *, lists: int = 700, bias: float = 1.0, seed: int = 1
) -> None:
    """Lists as they are ranked now, a little shuffled as taste does, of which people look at the top."""
    rng = random.Random(seed)
    now = {query: found(query)[:20] for query in QUERIES}
    wanted = {query: set(liked(query)) for query in QUERIES}
    for number in range(lists):
        query = QUERIES[number % len(QUERIES)]
        moved = sorted(enumerate(now[query]), key=lambda pair: pair[0] + rng.gauss(0, 3))
        items = [item for _, item in moved]
        taken = [
            item.key
            for place, item in enumerate(items, start=1)
            if rng.random() < (0.9 if item.key in wanted[query] else 0.03) * place**-bias
        ]
        visit(query, f"visitor-{number}", items, taken)


def test_clicks_find_the_leg_that_is_right_though_people_click_what_is_on_top(
    shop: dict[str, Product],
) -> None:
    configured_long_ago(text_weight=0.8)
    visits(lambda query: by_leg(query, text_weight=0.0)[1:7])
    choice = weight_learning.learn_search_weights("product", by="ada")
    assert choice.adopted, told(choice)
    weight = learned()
    assert weight is not None
    assert weight <= 0.5
    assert choice.report["bias"]["exponent"] == pytest.approx(1.0, abs=0.35)
    assert "clicks that had no part in the choice" in told(choice)


def test_clicks_without_sense_change_nothing(shop: dict[str, Product]) -> None:
    visits(lambda query: random.Random(query).sample([str(p.pk) for p in shop.values()], 20), lists=600)
    choice = weight_learning.learn_search_weights("product", by="ada")
    assert not choice.adopted, told(choice)


def test_clicks_on_lists_of_other_weights_do_not_count(shop: dict[str, Product]) -> None:
    visits(lambda query: by_leg(query, text_weight=0.0)[:6], lists=250)
    Configuration(text_weight=0.6).save()
    choice = weight_learning.learn_search_weights("product", by="ada")
    assert "0 of 200 clicks" in told(choice)


def test_clicks_tell_nothing_where_every_result_always_stood_at_one_place(shop: dict[str, Product]) -> None:
    for number in range(250):
        query = QUERIES[number % len(QUERIES)]
        items = found(query)[:10]
        visit(query, f"visitor-{number}", items, [items[0].key])
    choice = weight_learning.learn_search_weights("product", by="ada")
    assert not choice.adopted
    assert "hardly ever stood at several positions" in told(choice)


def test_clicks_must_not_cost_the_judged_queries(shop: dict[str, Product]) -> None:
    configured_long_ago(text_weight=0.8)
    visits(lambda query: by_leg(query, text_weight=0.0)[1:7])
    judge_by(lambda query: by_leg(query, text_weight=0.8), QUERIES[:30])
    choice = weight_learning.learn_search_weights("product", by="ada")
    assert not choice.report["text_weight"]["kept"]
    assert "judged queries would be answered worse" in told(choice)
    assert learned() is None


def shoppers(shop: dict[str, Product], *, faithful: bool) -> None:
    """Each has bought things of one theme; then they take such things from a list of all, or any."""
    rng = random.Random(5)
    theme_of = {
        str(shop[f"{material} {thing}"].pk): theme
        for theme, things in THEMES.items()
        for thing in things
        for material in MATERIALS
    }
    now = {material: found(material)[:20] for material in MATERIALS}
    for number in range(400):
        theme = list(THEMES)[number % len(THEMES)]
        own = [product for product in shop.values() if theme_of[str(product.pk)] == theme]
        did(f"shopper-{number}", "purchase", rng.sample(own, 4), at=timezone.now() - timedelta(days=3))
        query = MATERIALS[number % len(MATERIALS)]
        items = rng.sample(now[query], len(now[query]))
        wanted = theme if faithful else rng.choice(list(THEMES))
        taken = [
            item.key
            for place, item in enumerate(items, start=1)
            if rng.random() < (0.8 if theme_of[item.key] == wanted else 0.02) / place
        ]
        visit(query, f"shopper-{number}", items, taken)


def test_clicks_of_people_true_to_their_taste_make_it_count_more(shop: dict[str, Product]) -> None:
    configured_long_ago(taste_weight=0.0)
    shoppers(shop, faithful=True)
    choice = weight_learning.learn_search_weights("product", by="ada")
    assert choice.report["taste_weight"]["kept"], told(choice)
    strength = learned("taste_weight")
    assert strength is not None
    assert strength >= 0.1
    assert learned("text_weight") is None
    assert "Personal taste: " in told(choice)


def test_clicks_that_have_nothing_to_do_with_the_past_leave_taste_where_it_is(
    shop: dict[str, Product],
) -> None:
    configured_long_ago(taste_weight=0.0)
    shoppers(shop, faithful=False)
    choice = weight_learning.learn_search_weights("product", by="ada")
    assert not choice.report["taste_weight"]["kept"], told(choice)
    assert learned("taste_weight") is None


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("llmrec", *arguments, stdout=out)
    return out.getvalue()


def test_new_judgements_make_a_training_due_and_it_weighs_search_too(shop: dict[str, Product]) -> None:
    weight_learning.learn_search_weights("product", by="ada")
    assert runs.why_due("product") == ""
    judge_by(lambda query: by_leg(query, text_weight=1.0))
    assert "new judgements" in runs.why_due("product")
    told_by_command = command("train", "--due", "--document", "product")
    assert "product, search: Words: " in told_by_command
    assert "counts instead of 0.50" in told_by_command
    assert learned() is not None
    assert runs.why_due("product") == ""


def test_the_command_weighs_search_alone_and_says_why_nothing_changed(shop: dict[str, Product]) -> None:
    assert "0 of 50 judged queries" in command("train", "--search", "--document", "product")
    report = json.loads(command("train", "--search", "--document", "product", "--json"))
    assert report["product"]["search"]["text_weight"]["reason"] == "few"
    assert "course, search: failed" in command("train", "--search", "--document", "course")


def test_with_an_encoder_that_does_not_answer_nothing_is_weighed(shop: dict[str, Product]) -> None:
    judge_by(lambda query: by_leg(query, text_weight=1.0))
    with silent():
        choice = weight_learning.learn_search_weights("product", by="ada")
    assert "did not answer" in told(choice)
    with override_settings(LLMREC={**settings.LLMREC, "ENABLED": False}):
        choice = weight_learning.learn_search_weights("product", by="ada")
    assert "switched off" in told(choice)
    assert learned() is None


def test_each_query_is_run_once_whatever_the_number_of_weights(shop: dict[str, Product]) -> None:
    judge_by(lambda query: by_leg(query, text_weight=1.0))
    with CaptureQueriesContext(connection) as asked:
        weight_learning.learn_search_weights("product", by="ada")
    # once to weigh, and of the real searches that confirm it once before and once after
    assert len(asked) < 60 * 3 * 4 + 40


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"product": 0.5},
        {"product": {"text_weight": 0.5}},
        {"product": {"encoder_id": "x", "text_weight": 1.5}},
        {"product": {"encoder_id": "x", "diversity": 0.5}},
    ],
)
def test_what_cannot_be_learned_weights_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError, match="encoder and weights"):
        Configuration(search_weights=wrong).full_clean()
    Configuration(search_weights={"product": {"encoder_id": "x", "text_weight": 0.5}}).full_clean()
