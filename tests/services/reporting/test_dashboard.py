"""The sums of the dashboard, from lists and events whose numbers are known."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import override_settings
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.models import DailyLists, Impression, Interaction
from llmrec_plugin.services import privacy
from llmrec_plugin.services.privacy import retention
from llmrec_plugin.services.reporting import daily_statistics, dashboard
from llmrec_plugin.services.reporting.dashboard import Dashboard, collect
from tests.services.experiments.test_experiment_report import react, shown, users

pytestmark = pytest.mark.django_db


def sums(days: int = 7) -> Dashboard:
    cache.clear()
    return collect("product", days=days)


def listed(count: int, *, user: str = "u", **values: Any) -> list[Impression]:
    """Lists of users who each have one, yesterday."""
    return shown(None, users(user, count), shown=10, **values)


def test_lists_clicks_and_purchases_are_counted_by_placement() -> None:
    react(listed(20)[:5])
    lists = listed(10, user="h", placement="home")
    react(lists[:4])
    react(lists[:1], "purchase", request_id=None)  # what was clicked, without naming the list
    react(lists[4:5], "purchase")
    react(lists[5:6], "purchase", request_id=None)  # never clicked here
    react(lists[6:7], "dismiss")
    search, home = sums().placements
    assert (search.name, search.lists, search.clicked, search.bought) == ("search", 20, 5, 0)
    assert (home.name, home.lists, home.clicked, home.bought) == ("home", 10, 5, 2)
    assert (home.click_rate, home.conversion) == (0.5, 0.2)


def test_ten_clicks_on_a_list_count_once_for_it_and_once_for_each_place() -> None:
    (one,) = listed(1)
    for position in (0, 0, 3):
        react([one], position=position)
    found = sums()
    assert found.search.clicked == 1
    assert [row.clicked for row in found.positions["search"]] == [1, 0, 0, 1, 0, 0, 0, 0, 0, 0]


def test_a_place_counts_as_shown_where_the_list_reached_it() -> None:
    listed(4)
    listed(6, user="v", total=3)
    Impression.objects.filter(total=3).update(shown=3)
    assert [row.shown for row in sums().positions["search"]] == [10, 10, 10, 4, 4, 4, 4, 4, 4, 4]


def test_searches_without_a_result_are_counted_day_by_day() -> None:
    now = timezone.now()
    react(listed(8)[:2])
    listed(2, user="v", total=0)
    listed(3, user="w", at=now - timedelta(days=3))
    found = sums()
    assert len(found.days) == 7
    yesterday = next(day for day in found.days if day.date == timezone.localdate(now - timedelta(days=1)))
    assert (yesterday.searches, yesterday.empty) == (10, 2)
    assert sum(day.clicked for day in found.days) == 2
    assert sum(day.searches for day in found.days) == 13
    assert found.search.empty_rate == pytest.approx(2 / 13)
    assert sum(day.searches for day in sums(days=1).days) == 0


def test_times_are_told_by_the_middle_and_by_the_slowest_twentieth() -> None:
    listed(90, took_ms=20)
    listed(6, user="v", took_ms=700)
    listed(4, user="w", took_ms=10)
    row = sums().search
    assert (row.milliseconds, row.slow) == (20, 700)


def test_a_text_is_told_only_if_enough_people_typed_it() -> None:
    listed(5, query="Red kettle")
    listed(2, query="red Kettle")
    listed(4, query="my own name")
    listed(6, user="", query="typed by nobody known")
    Impression.objects.filter(query="typed by nobody known").update(user_key="")
    found = sums()
    assert [(row.text, row.searches, row.people) for row in found.queries] == [("red kettle", 7, 5)]
    assert found.unanswered == []
    listed(5, query="unicorn", total=0)
    assert [row.text for row in sums().unanswered] == ["unicorn"]


def test_who_refused_is_not_in_the_sums() -> None:
    react(listed(6, query="kettle"))
    for user in ("u0", "u1"):
        privacy.set_consent(user, granted=False)
    found = sums()
    assert (found.search.lists, found.search.clicked, found.queries) == (4, 4, [])
    with override_settings(LLMREC={**settings.LLMREC, "CONSENT": "off"}):
        assert sums().search.lists == 0


def test_nothing_has_happened_yet() -> None:
    found = sums()
    assert (found.placements, found.queries, found.search.lists) == ([], [], 0)
    assert found.search.click_rate != found.search.click_rate  # NaN: nothing to measure


def test_the_sums_take_six_queries_whatever_there_is_and_are_remembered(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    collect("product", days=28)  # what is over long since is kept
    for size in (2, 50):
        react(listed(size, user=f"u{size}-"))
        cache.clear()
        with django_assert_num_queries(6):
            collect("product", days=28)
    with django_assert_num_queries(0):
        assert collect("product", days=28).search.lists == 52


def test_old_and_foreign_lists_are_left_out() -> None:
    listed(2, at=timezone.now() - timedelta(days=9))
    Impression.objects.update(document="course")
    react(listed(1))
    Interaction.objects.update(document="course")
    assert (sums().search.lists, sums().search.clicked) == (1, 0)
    assert dashboard.PERIODS == (1, 7, 28, 90)


def ago(**values: float) -> datetime:
    return timezone.now() - timedelta(**values)


def test_a_purchase_counts_for_a_click_of_the_week_before_it() -> None:
    lists = listed(3, at=ago(days=20))
    react(lists, at=ago(days=20))
    for one, days in zip(lists, (20, 14, 12), strict=True):  # with it, six days and eight days after
        react([one], "purchase", request_id=None, at=ago(days=days))
    assert (sums(28).search.clicked, sums(28).search.bought) == (3, 2)


def test_days_that_are_over_long_since_are_counted_once_and_later_ones_anew() -> None:
    react(listed(4, at=ago(days=9.5)), at=ago(days=9.5), position=1)
    react(listed(2, user="v", at=ago(days=3)), at=ago(days=3))
    first = sums(28)
    Interaction.objects.all().delete()
    Impression.objects.all().delete()
    again = sums(28)
    assert (first.search.lists, first.search.clicked) == (6, 6)
    assert (again.search.lists, again.search.clicked) == (4, 4)
    assert [row.clicked for row in again.positions["search"]][:3] == [0, 4, 0]
    assert again.search.milliseconds == first.search.milliseconds
    with override_settings(LLMREC={**settings.LLMREC, "CONSENT": "off"}):
        assert sums(28).search.lists == 0


def test_nothing_is_kept_while_nobody_may_be_remembered() -> None:
    listed(4, at=ago(days=10))
    with override_settings(LLMREC={**settings.LLMREC, "CONSENT": "off"}):
        assert sums(28).search.lists == 0
    assert sums(28).search.lists == 4


def test_kept_sums_name_nobody_and_go_when_their_events_would() -> None:
    react(listed(4, user="ada-", query="my secret", at=ago(days=12)), at=ago(days=12))
    daily_statistics.keep_all()
    kept = str(list(DailyLists.objects.exclude(sums={}).values()))
    assert "'lists': 4" in kept
    assert "ada" not in kept
    assert "secret" not in kept
    with override_settings(LLMREC={**settings.LLMREC, "EVENT_RETENTION_DAYS": 11}):
        retention.apply_retention()
    assert DailyLists.objects.exists()
    assert not DailyLists.objects.filter(day__lte=ago(days=12).date()).exists()


def test_a_period_is_held_against_the_one_before() -> None:
    react(listed(10)[:5])
    react(listed(20, user="v", at=ago(days=10))[:2], at=ago(days=10))
    before = sums(7).before
    assert before is not None
    assert (before.lists, before.click_rate) == (20, 0.1)


def test_the_latest_searches_suffice_to_tell_what_is_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    listed(6, query="old", at=ago(days=3))
    listed(6, user="v", query="new", at=ago(days=2))
    assert [row.text for row in sums().queries] == ["new", "old"]
    monkeypatch.setattr(dashboard, "SEARCHES_READ", 6)
    assert [row.text for row in sums().queries] == ["new"]
