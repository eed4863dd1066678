"""Experiments as visitors meet them: the same arm again, nothing of who refused, never worse than live."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import override_settings
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.event_kinds import EventKind, default_kind_weights, event_kinds, register_event_kind
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.models import (
    ArmAssignment,
    Configuration,
    ConfigurationChange,
    Experiment,
    Impression,
    IndexVersion,
    Placement,
)
from llmrec_plugin.services import interactions, privacy, recommendations
from llmrec_plugin.services.deployment import retirement
from llmrec_plugin.services.experiments import lifecycle
from llmrec_plugin.services.indexing import index_build
from llmrec_plugin.services.search import next_page, search
from llmrec_plugin.types import ResultPage, SearchRequest
from tests.hostapp.models import Product
from tests.support.serving import did, open_shop, silent
from tests.support.trials import draft, running

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> dict[str, Product]:
    return open_shop()


def find(user_key: str | None = None, **values: Any) -> ResultPage:
    return search(SearchRequest(document="product", text="wooden desk lamp", user_key=user_key, **values))


def by_words_alone(page: ResultPage) -> bool:
    return all(not item.contributions.get("vector") for item in page.results)


def arm_of(page: ResultPage) -> str | None:
    arm = Impression.objects.get(pk=page.request_id).arm
    return arm.name if arm else None


def visitor_in(name: str, *, prefix: str = "") -> str:
    """A user whom chance puts into that arm."""
    return next(key for n in range(99) if arm_of(find(key := f"{prefix}{n}")) == name)


def changed(**llmrec: Any) -> override_settings:
    return override_settings(LLMREC={**settings.LLMREC, **llmrec})


def test_each_visitor_sees_one_arm_always_and_the_arms_differ_as_they_say(shop: dict[str, Product]) -> None:
    running()
    seen = {}
    for number in range(20):
        page = find(f"u{number}")
        seen[number] = arm_of(page)
        assert by_words_alone(page) == (seen[number] == "new")
        assert arm_of(find(f"u{number}")) == seen[number]
    assert set(seen.values()) == {"as it is", "new"}


def test_another_list_is_not_touched_and_a_stopped_experiment_is_over(shop: dict[str, Product]) -> None:
    experiment = running()
    user = visitor_in("new")
    page = recommendations.recommend("latest", user_key=user, document="product")
    assert arm_of(page) is None
    lifecycle.stop(experiment, by="editor")
    page = find(user)
    assert arm_of(page) is None
    assert not by_words_alone(page)


def test_no_experiment_costs_one_look_into_the_cache_and_no_query(
    shop: dict[str, Product], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    find()
    with django_assert_num_queries(4):  # what stands, rows, their categories, list
        find()


def test_a_running_experiment_costs_one_query_for_consent(
    shop: dict[str, Product], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    find("u1", personalize=0)
    with django_assert_num_queries(5):
        find("u1", personalize=0)
    running(overrides={"text_weight": 0.4})
    find("u1", personalize=0)
    with django_assert_num_queries(6):
        find("u1", personalize=0)


def test_who_refused_or_has_no_key_sees_what_is_live_and_is_not_counted(shop: dict[str, Product]) -> None:
    running(share=1000)
    privacy.set_consent("refuser", granted=False)
    for key in ("refuser", None):
        page = find(key, limit=2)
        assert not by_words_alone(page)
        assert arm_of(page) is None
    with changed(CONSENT="opt-in"):
        assert not by_words_alone(find("never asked"))
    assert not ArmAssignment.objects.exists()


def test_switched_off_there_are_no_experiments(shop: dict[str, Product]) -> None:
    running(overrides={"text_weight": 0.0}, share=1000)
    with changed(ENABLED=False):
        find("u1")
    assert not Impression.objects.filter(arm__isnull=False).exists()


def test_a_visitor_who_logs_in_keeps_his_arm(shop: dict[str, Product]) -> None:
    running()
    user = visitor_in("as it is", prefix="user")
    Impression.objects.all().delete()
    visitor = visitor_in("new", prefix="anon:")
    interactions.merge(visitor, user)
    page = find(user)
    assert arm_of(page) == "new"
    assert by_words_alone(page)
    # another device, where chance had shown them the other arm, does not take them back
    other = visitor_in("as it is", prefix="anon:x")
    interactions.merge(other, user)
    assert arm_of(find(user)) == "new"


def test_one_row_is_kept_of_who_changed_his_key_and_goes_with_him(shop: dict[str, Product]) -> None:
    running()
    user = visitor_in("as it is", prefix="user")
    Impression.objects.all().delete()
    interactions.merge(visitor_in("new", prefix="anon:"), user)
    assert privacy.export_user(user)["arm_assignments"]
    privacy.erase_user(user)
    assert not ArmAssignment.objects.exists()


def test_no_row_about_anybody_outlives_its_experiment(shop: dict[str, Product]) -> None:
    experiment = running()
    user = visitor_in("as it is", prefix="user")
    Impression.objects.all().delete()
    interactions.merge(visitor_in("new", prefix="anon:"), user)
    assert ArmAssignment.objects.exists()
    lifecycle.stop(experiment, by="editor")
    assert not ArmAssignment.objects.exists()


def test_who_had_an_arm_of_his_own_before_he_logged_in_again_stays_there(shop: dict[str, Product]) -> None:
    running()
    user = visitor_in("as it is", prefix="user")
    interactions.merge(visitor_in("new", prefix="anon:"), user)
    assert arm_of(find(user)) == "as it is"
    assert not ArmAssignment.objects.exists()


def test_a_placement_can_be_tried_in_place_of_another(shop: dict[str, Product]) -> None:
    running("trending", instead="latest", share=1000)
    page = recommendations.recommend("trending", user_key="u1", document="product")
    impression = Impression.objects.get(pk=page.request_id)
    assert impression.placement == "trending"
    assert impression.arm is not None
    assert page.results[0].reasons == ("New here",)


def test_an_index_that_is_not_live_can_be_tried_and_outlives_its_grace_time(shop: dict[str, Product]) -> None:
    former = IndexVersion.objects.get()
    index_build.build("product", rebuild=True)
    running(overrides={}, index_version=former, share=1000)
    page = find("u1")
    assert Impression.objects.get(pk=page.request_id).index_version == former
    with changed(LIMITS={"version_grace_seconds": 1}):
        time.sleep(1.1)
        assert retirement.sweep() == []


def test_an_arm_that_cannot_answer_leaves_it_to_the_control_and_the_report_says_why(
    shop: dict[str, Product],
) -> None:
    former = IndexVersion.objects.get()
    index_build.build("product", rebuild=True)
    running(overrides={}, index_version=former, share=1000)
    retirement.drop(former)
    page = find("u1")
    assert page.results
    impression = Impression.objects.get(pk=page.request_id)
    assert impression.index_version != former
    assert "not ready any more" in impression.arm_error


@pytest.mark.parametrize("has_own_index", [True, False])
def test_what_an_index_of_its_own_lacks_is_the_arms_fault_and_what_all_lack_is_nobodys(
    shop: dict[str, Product], has_own_index: bool
) -> None:
    former = IndexVersion.objects.get()
    index_build.build("product", rebuild=True)
    of_arm = {"overrides": {}, "index_version": former} if has_own_index else {"overrides": {"fusion": "rrf"}}
    running(share=1000, **of_arm)
    with silent():
        page = find("u1")
    assert page.degraded == ("engine",)
    impression = Impression.objects.get(pk=page.request_id)
    assert impression.arm_error == ("answered without engine" if has_own_index else "")


def test_a_setting_that_breaks_an_arm_breaks_no_page(shop: dict[str, Product]) -> None:
    experiment = running(share=1000)
    experiment.arms.filter(is_control=False).update(overrides={"fusion": "rrf", "rrf_k": "many"})
    cache.clear()
    page = find("u1")
    assert page.results
    assert Impression.objects.get(pk=page.request_id).arm_error == "TypeError"


def test_interleaved_lists_hold_all_items_once_and_say_who_put_them_there(shop: dict[str, Product]) -> None:
    running(method=Experiment.Method.INTERLEAVING)
    page = find(limit=4)
    impression = Impression.objects.get(pk=page.request_id)
    ranking = impression.ranking or []
    keys = [key for key, _ in ranking]
    assert len(keys) == len(set(keys)) == len(impression.teams)
    assert set(impression.teams) == {"0", "1"}
    assert abs(impression.teams[:4].count("0") - 2) <= 1
    assert page.next is not None
    following = next_page(page.next, user_key=None)
    assert [item.item_id for item in (*page.results, *following.results)] == keys[:8]


def test_the_winner_becomes_the_rule_and_the_record_says_who_decided(shop: dict[str, Product]) -> None:
    former = IndexVersion.objects.get()
    index_build.build("product", rebuild=True)
    experiment = running(overrides={"text_weight": 1.0}, index_version=former)
    arm = experiment.arms.get(name="new")
    lifecycle.adopt(arm, by="editor")
    assert Configuration.current().text_weight == 1.0
    deployment = former.deployments.first()
    assert deployment is not None
    assert (deployment.by, deployment.reason) == ("editor", f"experiment {experiment.pk}: new")
    experiment.refresh_from_db()
    assert (experiment.state, experiment.stopped_by, experiment.adopted) == ("stopped", "editor", "new")
    assert by_words_alone(find())
    change = ConfigurationChange.objects.first()
    assert change is not None
    assert (change.by, change.values["text_weight"]) == ("editor", 1.0)


def test_a_placement_that_won_is_shown_by_the_name_that_pages_ask_for(shop: dict[str, Product]) -> None:
    experiment = running("trending", instead="latest")
    lifecycle.adopt(experiment.arms.get(name="new"), by="editor")
    page = recommendations.recommend("trending", document="product", limit=3)
    assert page.results[0].reasons == ("New here",)
    row = Placement.objects.get()
    assert (row.name, row.type, row.limit) == ("trending", "latest", 12)


def test_a_draft_has_nothing_to_adopt_and_a_stopped_one_does_not_start_again(
    shop: dict[str, Product],
) -> None:
    experiment = draft()
    arm = experiment.arms.get(name="new")
    with pytest.raises(ConfigurationError, match="not been started"):
        lifecycle.adopt(arm, by="editor")
    with pytest.raises(ConfigurationError, match="not running"):
        lifecycle.stop(experiment, by="editor")
    lifecycle.start(experiment, by="editor")
    lifecycle.stop(experiment, by="editor")
    with pytest.raises(ConfigurationError, match="make a new one"):
        lifecycle.start(experiment, by="editor")


def test_an_arm_weighs_kinds_that_it_does_not_name_as_the_configuration_does(
    shop: dict[str, Product],
) -> None:
    Configuration(kind_weights={**default_kind_weights(), "purchase": 7.0}).save()
    experiment = running("latest", overrides={"kind_weights": {"view": 0.5}})
    try:
        register_event_kind(EventKind(name="wave", label="waved", weight=2.5))
        arm = experiment.arms.get(is_control=False)
        weights = Configuration.current().with_overrides(arm.overrides).kind_weights
        assert weights == {**default_kind_weights(), "purchase": 7.0, "view": 0.5, "wave": 2.5}
        lifecycle.stop(experiment, by="editor")
        lifecycle.adopt(arm, by="editor")
        assert Configuration.current().kind_weights == weights
    finally:
        event_kinds.unregister("wave")


def test_two_experiments_on_one_list_do_not_run_together(shop: dict[str, Product]) -> None:
    running()
    with pytest.raises(ConfigurationError, match="stop it first"):
        running()
    assert running("latest").state == "running"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"placement": "nowhere"}, 'no placement "nowhere"'),
        ({"overrides": {"text_wait": 0.3}}, "no setting “text_wait”"),
        ({"overrides": {"text_wait": 0.3}}, "Did you mean “text_weight”"),
        ({"overrides": {"kind_weights": {"veiw": 3}}}, "no kind of event “veiw”.*Did you mean “view”"),
        ({"overrides": {"kind_weights": {"view": 11}}}, "“view” must be a number from -10 to 10"),
        ({"overrides": {"signal_weights": {"magrin": 1}}}, 'Did you mean "margin"'),
        ({"overrides": {"text_weight": 3}}, "text_weight: Ensure this value is less than or equal to 1"),
        ({"overrides": [1]}, "Give an object"),
        ({"instead": "latest"}, "a search shows none"),
        ({"placement": "trending", "instead": "similar"}, "needs the item that a page is about"),
        ({"placement": "trending", "instead": "latst"}, 'Did you mean "latest"'),
        ({"arms": 2, "method": "interleaving"}, "Interleaving compares two arms"),
        ({"arms": 0}, ""),
        ({"overrides": {}}, "what this arm changes"),
    ],
)
def test_what_cannot_be_started_says_what_is_wrong(
    shop: dict[str, Product], values: dict[str, Any], words: str
) -> None:
    experiment = draft(**values)
    if not words:
        experiment.arms.filter(is_control=False).delete()
        words = "one control and one or more other arms"
    with pytest.raises(ConfigurationError, match=words):
        lifecycle.start(experiment, by="editor")


def test_versions_of_another_document_or_not_ready_are_refused(shop: dict[str, Product]) -> None:
    version = IndexVersion.objects.get()
    experiment = draft(overrides={}, index_version=version)
    version.document = "course"
    version.save()
    with pytest.raises(ConfigurationError, match='belongs to "course"'):
        lifecycle.check(experiment)
    version.document, version.state = "product", IndexVersion.State.DROPPED
    version.save()
    with pytest.raises(ConfigurationError, match="is not ready"):
        lifecycle.check(experiment)


def test_taste_keeps_working_in_every_arm(shop: dict[str, Product]) -> None:
    did("u1", "purchase", [shop["steel garden hose"]])
    running(overrides={"taste_weight": 1.0}, share=1000)
    parts = {name for item in find("u1").results for name in item.contributions}
    assert any(name.startswith("taste") for name in parts)
