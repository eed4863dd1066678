"""Experiments over REST: a new visitor gets a key to see the same arm again, where one may give them one."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from rest_framework.test import APIClient

from llmrec_plugin.models import Experiment, Impression
from llmrec_plugin.services.experiments import report as experiment_report
from llmrec_plugin.visitors import COOKIE
from tests.api.conftest import Site
from tests.support.trials import running

pytestmark = pytest.mark.django_db


def asked(client: APIClient) -> dict[str, Any]:
    response = client.get("/api/search/", {"document": "product", "q": "red kettle"})
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def begin() -> Experiment:
    """Started, and noticed by this process, which takes one request that is not counted."""
    experiment = running()
    asked(APIClient())
    Impression.objects.all().delete()
    return experiment


def arm_of(answer: dict[str, Any]) -> str | None:
    arm = Impression.objects.get(pk=answer["request_id"]).arm
    return arm.name if arm else None


def test_a_new_visitor_sees_the_same_arm_again(site: Site) -> None:
    begin()
    for _ in range(6):
        visitor = APIClient()
        arms = {arm_of(asked(visitor)) for _ in range(3)}
        assert len(arms) == 1
        assert COOKIE in visitor.cookies
        assert None not in arms


def test_reading_gives_no_key_without_a_need_for_one(site: Site, api: APIClient) -> None:
    asked(APIClient())  # has the process notice that nothing is running
    asked(api)
    running(method=Experiment.Method.INTERLEAVING)
    asked(api)
    assert COOKIE not in api.cookies


def test_nobody_gets_a_key_where_one_must_ask_first(site: Site, api: APIClient) -> None:
    running()
    with override_settings(LLMREC={**settings.LLMREC, "CONSENT": "opt-in"}):
        asked(api)
    assert COOKIE not in api.cookies
    crawler = APIClient(HTTP_USER_AGENT="ExampleBot/1.0 (+http://example.com/bot)")
    asked(crawler)
    assert COOKIE not in crawler.cookies


def test_a_click_is_counted_for_the_arm_that_the_visitor_saw(site: Site) -> None:
    experiment = begin()
    clicked = {"as it is": 0, "new": 0}
    for number in range(24):
        visitor = APIClient()
        answer = asked(visitor)
        arm = arm_of(answer)
        if arm == "new" or number % 4 == 0:
            event = {
                "document": "product",
                "item_id": answer["results"][0]["item_id"],
                "kind": "click",
                "request_id": answer["request_id"],
                "position": 0,
            }
            assert visitor.post("/api/interactions/", event, format="json").json()["stored"] == 1
            clicked[str(arm)] += 1
    report = experiment_report.report(experiment)
    for told in report.arms:
        assert told.lists == told.visitors > 0
        if told.comparison:
            assert told.comparison.arm == 1.0  # all of them clicked
            assert told.comparison.control == pytest.approx(clicked["as it is"] / report.arms[0].visitors)
    assert sum(arm.visitors for arm in report.arms) == 24
