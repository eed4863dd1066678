"""Experiments in the admin, from the draft to the winner, and what each step asks for."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from llmrec_plugin.experiments.analysis import preferences_needed
from llmrec_plugin.models import Configuration, Experiment
from llmrec_plugin.services.experiments import lifecycle
from tests.services.experiments.test_experiment_report import react, shown, users
from tests.support.serving import open_shop
from tests.support.trials import draft, running

pytestmark = pytest.mark.django_db


@pytest.fixture
def editor(editor: Client) -> Client:
    open_shop()
    return editor


def url(page: str, *args: object) -> str:
    return reverse(f"admin:llmrec_plugin_experiment_{page}", args=args)


def words(page: Any) -> str:
    """What the page says, without its markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.text).split())


def form(**values: Any) -> dict[str, Any]:
    data = {
        "name": "More meaning",
        "document": "product",
        "placement": "search",
        "method": "split",
        "metric": "clicks",
        "lift": "0.1",
        "arms-TOTAL_FORMS": 2,
        "arms-INITIAL_FORMS": 0,
        "arms-0-name": "as it is",
        "arms-0-is_control": "on",
        "arms-0-share": 1,
        "arms-0-overrides": "{}",
        "arms-1-name": "more meaning",
        "arms-1-share": 1,
        "arms-1-overrides": '{"text_weight": 0.2}',
    }
    return data | values


def test_from_the_draft_to_the_winner(editor: Client) -> None:
    assert 'value="as it is"' in editor.get(url("add")).text
    editor.post(url("add"), form())
    experiment = Experiment.objects.get()
    assert "Start …" in editor.get(url("changelist")).text
    page = words(editor.get(url("start", experiment.pk)))
    assert "assumed: too little is known of this list yet" in page
    assert "nobody has seen this list" in page
    assert "is running" in words(editor.post(url("start", experiment.pk), follow=True))
    control, new = experiment.arms.order_by("-is_control")
    react(shown(control, users("c"))[:40])
    react(shown(new, users("n"))[:200])
    page = words(editor.get(url("report", experiment.pk)))
    assert "“more meaning” is better than the control, by +" in page
    assert "text_weight becomes 0.2" in words(editor.get(url("adopt", experiment.pk, new.pk)))
    page = words(editor.post(url("adopt", experiment.pk, new.pk), follow=True))
    assert "adopted: “more meaning”" in page
    assert Configuration.current().text_weight == 0.2
    assert [entry.user.get_username() for entry in LogEntry.objects.filter(action_flag=2)] == ["editor"] * 2


def test_a_wrong_setting_is_told_where_it_was_typed(editor: Client) -> None:
    page = words(editor.post(url("add"), form(**{"arms-1-overrides": '{"text_wait": 1}'})))
    assert "There is no setting “text_wait”. Known: fusion, text_weight" in page
    assert "Did you mean “text_weight”?" in page
    page = words(editor.post(url("add"), form(**{"arms-1-overrides": '{"signal_weights": {"magrin": 1}}'})))
    assert "Did you mean &quot;margin&quot;?" in page
    assert not Experiment.objects.exists()


def test_the_placement_of_an_arm_is_chosen_among_those_there_are(editor: Client) -> None:
    page = editor.get(url("add")).text
    assert re.search(r'<select name="arms-1-placement".*?<option value="latest">', page, re.DOTALL)
    arm = {"arms-1-overrides": "{}", "arms-1-placement": "latest"}
    editor.post(url("add"), form(placement="trending", **arm))
    assert Experiment.objects.get().arms.get(is_control=False).placement == "latest"


def test_what_cannot_be_started_says_why(editor: Client) -> None:
    experiment = draft(arms=0)
    experiment.arms.filter(is_control=False).delete()
    page = words(editor.get(url("start", experiment.pk), follow=True))
    assert "needs one control and one or more other arms" in page


def test_what_was_started_can_be_stopped_but_not_changed(editor: Client) -> None:
    experiment = running()
    page = editor.get(url("change", experiment.pk)).text
    assert 'name="name"' in page
    assert 'name="lift"' not in page
    assert 'name="arms-0-overrides"' not in page
    assert editor.post(url("delete", experiment.pk), {"post": "yes"}).status_code == 403
    assert "ends now" in words(editor.get(url("stop", experiment.pk)))
    assert "is stopped" in words(editor.post(url("stop", experiment.pk), follow=True))
    assert "is not running" in words(editor.post(url("stop", experiment.pk), follow=True))


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((0, 0), "each arm needs 100 visitors"),
        ((300, 100), "is worse than the control, by −"),
        ((80, 82), "not decided yet; the difference lies between −"),
    ],
)
def test_the_report_says_in_words_how_it_stands(editor: Client, counts: tuple[int, int], said: str) -> None:
    experiment = running()
    for arm, name, clicks in zip(experiment.arms.order_by("-is_control"), "cn", counts, strict=True):
        if sum(counts):
            react(shown(arm, users(name))[:clicks])
    assert said in words(editor.get(url("report", experiment.pk)))


def test_the_report_names_doubt_harm_and_failures(editor: Client) -> None:
    experiment = running()
    control, new = experiment.arms.order_by("-is_control")
    react(shown(control, users("c"), took_ms=20)[::4])
    react(shown(new, users("n", 250), took_ms=20, arm_error="NotFound: gone")[::4])
    shown(new, users("n", 200), total=0, took_ms=21)
    shown(control, ["c1", "n1"], took_ms=10)
    page = words(editor.get(url("report", experiment.pk)))
    assert "The visitors are not split as they should be" in page
    assert "more lists without a result" in page
    assert "NotFound: gone 250" in page
    assert "1 visitor saw several arms" in page


def test_an_interleaved_report_counts_preferences(editor: Client) -> None:
    experiment = running(method=Experiment.Method.INTERLEAVING)
    new = experiment.arms.get(is_control=False)
    assert "nobody has clicked" in words(editor.get(url("report", experiment.pk)))
    for item, said in (("2", "Not decided yet: 1 of 1"), ("2", "The new list is preferred: by 13 of 13")):
        lists = shown(
            new, users(said[:3], 12 if "13" in said else 1), ranking=[["1", {}], [item, {}]], teams="10"
        )
        react(lists)
        assert said in words(editor.get(url("report", experiment.pk)))


def test_an_interleaving_says_how_many_visitors_it_needs_and_when_they_have_come(editor: Client) -> None:
    experiment = draft(method=Experiment.Method.INTERLEAVING, lift=10)
    page = words(editor.get(url("start", experiment.pk)))
    needed = 20 * preferences_needed(lift=10)  # one visitor of twenty is assumed to choose anything
    assert f"Visitors needed {needed} to find, four times out of five, a list whose items are chosen" in page
    assert "1000.0 % more often: 5.0 % of the visitors choose any" in page
    editor.post(url("start", experiment.pk))
    new = experiment.arms.get(is_control=False)
    lists = shown(new, users("u", needed - 1), ranking=[["1", {}], ["2", {}]], teams="10")
    react(lists[:1])
    page = words(editor.get(url("report", experiment.pk)))
    assert f"{needed - 1} of {needed}" in page
    assert "Not decided yet" in page
    shown(new, users("last", 1), ranking=[["1", {}], ["2", {}]], teams="10")
    assert "As many visitors as were planned, and no preference proven" in words(
        editor.get(url("report", experiment.pk))
    )


def test_reading_starting_and_adopting_each_need_a_permission(client: Client) -> None:
    open_shop()
    experiment = running()
    arm = experiment.arms.get(is_control=False)
    user = User.objects.create_user("somebody", is_staff=True)
    client.force_login(user)
    assert client.get(url("report", experiment.pk)).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_experiment"))
    page = client.get(url("report", experiment.pk))
    assert page.status_code == 200
    assert "Adopt …" not in page.text
    assert client.post(url("stop", experiment.pk)).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="change_experiment"))
    assert client.get(url("stop", experiment.pk)).status_code == 200
    assert client.post(url("adopt", experiment.pk, arm.pk)).status_code == 403
    lifecycle.stop(experiment, by="editor")
