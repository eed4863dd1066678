"""What the report says of visitors whose behaviour is known."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.models import Arm, Experiment, Impression, Interaction
from llmrec_plugin.services import privacy
from llmrec_plugin.services.experiments import lifecycle
from llmrec_plugin.services.experiments import report as experiment_report
from tests.support.trials import draft, running

pytestmark = pytest.mark.django_db

VISITORS = 400
"""Per arm."""


@pytest.fixture
def experiment() -> Experiment:
    """Begun two days ago; 300 visitors per arm would do."""
    started = running()
    started.started_at = timezone.now() - timedelta(days=2)
    started.planned_visitors = 300
    started.save()
    return started


def shown(
    arm: Arm | None, users: list[str], *, at: datetime | None = None, **values: Any
) -> list[Impression]:
    """One list to each of them."""
    document = arm.experiment.document if arm else "product"
    lists = Impression.objects.bulk_create(
        Impression(request_id=uuid.uuid4(), user_key=user, document=document, placement="search", arm=arm)
        for user in users
    )
    Impression.objects.filter(pk__in=[one.pk for one in lists]).update(
        at=at or timezone.now() - timedelta(days=1), **({"total": 5} | values)
    )
    return lists


def react(lists: list[Impression], kind: str = "click", **values: Any) -> None:
    Interaction.objects.bulk_create(
        Interaction(
            user_key=one.user_key,
            document=one.document,
            item_id="1",
            kind=kind,
            **({"at": timezone.now(), "request_id": one.pk} | values),
        )
        for one in lists
    )


def users(prefix: str, count: int = VISITORS) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def compared(experiment: Experiment) -> experiment_report.ArmReport:
    return experiment_report.report(experiment).arms[1]


def both(experiment: Experiment) -> tuple[Arm, Arm]:
    control, new = experiment.arms.order_by("-is_control")
    return control, new


def test_a_large_difference_in_clicks_is_found(experiment: Experiment) -> None:
    control, new = both(experiment)
    react(shown(control, users("c"))[:80])
    react(shown(new, users("n"))[:200])
    arm = compared(experiment)
    found = arm.comparison
    assert found is not None
    assert (found.control, found.arm) == (0.2, 0.5)
    assert found.low > 0.1
    assert (arm.visitors, arm.lists, arm.harmed) == (VISITORS, VISITORS, [])


def test_ten_clicks_on_one_list_are_one_list_that_led_to_a_click(experiment: Experiment) -> None:
    control, new = both(experiment)
    shown(control, users("c"))
    lists = shown(new, users("n"))
    for _ in range(10):
        react(lists[:40])
    found = compared(experiment).comparison
    assert found is not None
    assert found.arm == 0.1


def test_a_purchase_counts_after_the_first_list_and_without_any_request(experiment: Experiment) -> None:
    experiment.metric = Experiment.Metric.CONVERSION
    control, new = both(experiment)
    shown(control, users("c"))
    lists = shown(new, users("n"))
    react(lists[:100], "purchase")
    Interaction.objects.update(request_id=None)  # as orders of the site are
    react(lists[200:300], "purchase", at=timezone.now() - timedelta(days=1, hours=12))
    found = compared(experiment).comparison
    assert found is not None
    assert (found.control, found.arm) == (0.0, 0.25)


def test_what_visitors_did_before_is_taken_out_of_the_noise(experiment: Experiment) -> None:
    control, new = both(experiment)
    rng = np.random.default_rng(2)
    for arm, name in ((control, "c"), (new, "n")):
        keen = [user for user in users(name) if rng.random() < 0.5]
        events = [
            Interaction(user_key=user, document="product", item_id="1", kind="view", at=at)
            for user in keen
            for at in [timezone.now() - timedelta(days=10)] * 3
        ]
        Interaction.objects.bulk_create(events)
        react([one for one in shown(arm, users(name)) if (one.user_key in keen) == (rng.random() < 0.9)])
    found = compared(experiment).comparison
    assert found is not None
    assert found.explained == pytest.approx(0.64, abs=0.08)  # correlation of .8, squared


def test_lists_without_results_and_slow_answers_are_harm(experiment: Experiment) -> None:
    control, new = both(experiment)
    react(shown(control, users("c"), took_ms=20)[::4])
    react(shown(new, users("n"), took_ms=21)[::4])
    shown(control, users("c")[:20], total=0, took_ms=30)
    shown(new, users("n")[:300], total=0, took_ms=900)
    react(shown(new, users("n")[::2]), "dismiss")
    assert compared(experiment).harmed == ["empty", "milliseconds", "dismissed"]


def test_who_refused_later_is_not_counted_and_who_saw_both_arms_neither(experiment: Experiment) -> None:
    control, new = both(experiment)
    shown(control, users("c"))
    shown(new, [*users("n"), "c7"])
    privacy.set_consent("n3", granted=False)
    report = experiment_report.report(experiment)
    assert [arm.visitors for arm in report.arms] == [VISITORS - 1, VISITORS - 1]
    assert report.crossed == 1
    assert report.trustworthy


def test_an_uneven_split_is_not_to_be_trusted(experiment: Experiment) -> None:
    control, new = both(experiment)
    shown(control, users("c"))
    shown(new, users("n", 250))
    assert not experiment_report.report(experiment).trustworthy


def test_why_an_arm_could_not_answer_is_counted(experiment: Experiment) -> None:
    _, new = both(experiment)
    shown(new, users("n", 3), arm_error="NotFound: gone")
    shown(new, users("m", 2), arm_error="TypeError")
    assert compared(experiment).failures == [("NotFound: gone", 3), ("TypeError", 2)]


def test_nobody_came_yet(experiment: Experiment) -> None:
    report = experiment_report.report(experiment)
    assert report.trustworthy
    assert report.arms[1].comparison is not None
    assert not report.arms[1].comparison.better


@pytest.fixture
def interleaved() -> Callable[[list[str], list[str]], experiment_report.Report]:
    """The report after lists of two items, the first from the control, were clicked: user and item."""
    experiment = running(method=Experiment.Method.INTERLEAVING)
    new = experiment.arms.get(is_control=False)

    def click(visitors: list[str], items: list[str]) -> experiment_report.Report:
        for visitor, item in zip(visitors, items, strict=True):
            (one,) = shown(new, [""], ranking=[["a", {}], ["b", {}]], teams="01")
            Interaction.objects.create(
                user_key=visitor, document="product", item_id=item, kind="click", request_id=one.pk,
                at=timezone.now(),
            )  # fmt: skip
        return experiment_report.report(experiment)

    return click


def test_clicks_on_the_items_of_a_team_are_its_wins(interleaved: Any) -> None:
    found = interleaved(["u", "v", "w", "x"], ["b", "b", "a", "elsewhere"]).preference
    assert (found.wins, found.losses) == (2, 1)


def test_a_visitor_is_one_vote_however_often_he_clicks(interleaved: Any) -> None:
    found = interleaved(["u"] * 5 + ["even", "even"], ["b", "b", "b", "a", "b", "a", "b"]).preference
    assert (found.wins, found.losses) == (1, 0)


def test_the_report_asks_as_often_for_many_visitors_as_for_few(
    experiment: Experiment, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    control, new = both(experiment)
    for name in ("a", "b"):
        react(shown(control, users(name + "c", 200))[::2])
        react(shown(new, users(name + "n", 200))[::3])
        with django_assert_num_queries(9):  # arms, failures, who crossed, and three for each arm
            experiment_report.report(experiment)


def test_a_forecast_is_made_of_the_last_weeks() -> None:
    experiment = draft()
    nothing = lifecycle.forecast(experiment)
    assert (nothing.measured, nothing.days) == (False, None)
    for week in (1, 2):
        at = timezone.now() - timedelta(weeks=week)
        react(shown(None, users("u", 1400), at=at)[::10])
    known = lifecycle.forecast(experiment)
    assert known.measured
    assert known.rate == pytest.approx(0.1)
    assert known.days is not None
    # 1,400 visitors in 28 days, half of them to each arm
    assert known.days == pytest.approx(known.visitors / 25, abs=1)
    assert lifecycle.start(experiment, by="editor").planned_visitors == known.visitors


def test_a_forecast_of_interleaving_counts_those_who_choose_and_shows_both_arms_to_all() -> None:
    experiment = draft(method=Experiment.Method.INTERLEAVING, lift=0.2)
    unknown = lifecycle.forecast(experiment)
    assert (unknown.measured, unknown.choosing, unknown.days) == (False, 0.05, None)
    at = timezone.now() - timedelta(weeks=1)
    react(shown(None, users("u", 1400), at=at)[::10])
    known = lifecycle.forecast(experiment)
    assert known.choosing == pytest.approx(0.1)
    assert known.visitors == pytest.approx(unknown.visitors / 2, abs=1)
    assert known.days == pytest.approx(known.visitors / 50, abs=1)  # 1,400 in 28 days see both
    assert lifecycle.start(experiment, by="editor").planned_visitors == known.visitors


@pytest.mark.parametrize("method", Experiment.Method.values)
def test_a_plan_beyond_all_visitors_there_are_can_be_kept(method: str) -> None:
    experiment = draft(method=method, lift=0.005)
    lists = shown(None, users("u", 8000), at=timezone.now() - timedelta(weeks=1))
    react(lists[:1])
    assert lifecycle.start(experiment, by="editor").planned_visitors == 2**31 - 1
