"""What people do is compared with what was learned; a planted drift is found, told and learned from anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from llmrec_plugin import celery_tasks as tasks
from llmrec_plugin.models import Configuration, DriftReport, Impression, Interaction
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.monitoring import health, status
from llmrec_plugin.services.training import drift, runs
from tests.hostapp.models import Product
from tests.support.serving import THEMES, open_shop
from tests.support.training_reports import gate_of

pytestmark = pytest.mark.django_db
USERS = 40


def lives(products: list[Product], *, since: datetime, prefix: str, seed: int = 0) -> None:
    """Forty users take five of the products each, within the ten hours after."""
    rng = np.random.default_rng(seed)
    Interaction.objects.bulk_create(
        Interaction(
            user_key=f"{prefix}{user}",
            document="product",
            item_id=str(products[int(place)].pk),
            kind="view",
            at=since + timedelta(minutes=user * 15 + step),
        )
        for user in range(USERS)
        for step, place in enumerate(rng.choice(len(products), 5, replace=False))
    )


def of_theme(products: dict[str, Product], *themes: str) -> list[Product]:
    things = {thing for theme in themes for thing in THEMES[theme]}
    return [product for title, product in products.items() if title.split(" ", 1)[1] in things]


def trained(choose: Callable[[dict[str, Product]], list[Product]]) -> dict[str, Product]:
    """A shop whose model learned from a day of what `choose` gives."""
    products = open_shop()
    lives(choose(products), since=timezone.now() - timedelta(days=3), prefix="old")
    runs.train("product", by="test", now=timezone.now() - timedelta(days=2))
    return products


def measured() -> DriftReport:
    report = drift.measure("product")
    assert report is not None
    return report


def test_more_of_the_same_is_no_drift() -> None:
    products = trained(lambda products: list(products.values()))
    lives(list(products.values()), since=timezone.now() - timedelta(days=1), prefix="new", seed=1)
    report = measured()
    events = report.report["events"]
    assert events["auc"] == pytest.approx(0.5, abs=0.1)
    assert (events["before"], events["now"]) == (5 * USERS, 5 * USERS)
    assert report.report["unseen_share"] == 0.0
    assert report.report["queries"]["auc"] is None
    assert report.level in ("steady", "rerun")  # the order of things at random may go either way


def test_a_planted_drift_is_found_told_and_starts_a_training(admin_client: Client) -> None:
    products = trained(lambda products: of_theme(products, "coffee"))
    lives(of_theme(products, "garden"), since=timezone.now() - timedelta(days=1), prefix="new")
    assert runs.why_due("product") == "at least 100 new interactions"
    Interaction.objects.filter(user_key__startswith="new").update(
        received_at=timezone.now() - timedelta(days=9)
    )
    assert runs.why_due("product") == ""
    report = measured()
    assert report.level == "rerun"
    assert report.report["events"]["auc"] > 0.95
    assert report.report["unseen_share"] == 1.0
    assert runs.why_due("product") == "what people do has drifted away from what was learned"

    shown = next(one for one in status.collect().documents if one.label == "product")
    assert "what people take can be told from before" in shown.drift[0]
    assert "Drift: " in "\n".join(status.collect().lines())
    assert {part.name: part.code for part in health.components()}["model product"] == "drifting"
    page = admin_client.get(reverse("admin:llmrec_plugin_driftreport_changelist")).text
    assert "100%" in page

    runs.train("product", by="test")
    assert runs.why_due("product") == ""
    assert not next(one for one in status.collect().documents if one.label == "product").drift


def test_a_little_drift_warns_and_starts_nothing() -> None:
    products = trained(lambda products: list(products.values()))
    moved = of_theme(products, "coffee", "garden", "garden")
    lives(moved, since=timezone.now() - timedelta(days=1), prefix="new")
    report = measured()
    assert 0.5 < report.report["events"]["auc"] < 0.75
    parts: dict[str, Any] = {**report.report, "ranking": None}
    for auc, level in ((0.64, "steady"), (0.65, "warn"), (0.7499, "warn"), (0.75, "rerun")):
        parts["events"] = {"auc": auc}
        assert drift._level(parts) == level
    parts["events"] = {"auc": None}
    assert drift._level(parts) == "steady"
    parts["ranking"] = {"difference": -0.001}
    assert drift._level(parts) == "rerun"


def test_a_live_model_that_ranks_worse_than_the_texts_is_learned_anew() -> None:
    """It learned that coffee leads to garden; now people stay with what they have."""
    products = open_shop()
    Configuration(
        recommendation_taste=0.1, recommendation_neighbours=0.9, recommendation_popularity=0.0, diversity=0.0
    ).save()
    coffee, garden = of_theme(products, "coffee"), of_theme(products, "garden")
    day = timezone.now() - timedelta(days=3)
    rng = np.random.default_rng(0)

    def walk(prefix: str, since: datetime, first: list[Product], then: list[Product]) -> None:
        Interaction.objects.bulk_create(
            Interaction(
                user_key=f"{prefix}{user}",
                document="product",
                item_id=str(items[int(rng.integers(len(items)))].pk),
                kind="purchase",
                at=since + timedelta(minutes=10 * user + step),
            )
            for user in range(60)
            for step, items in enumerate((first, then))
        )

    walk("a", day, coffee, garden)
    walk("b", day, garden, coffee)
    runs.train("product", by="test", now=timezone.now() - timedelta(days=2))
    walk("c", timezone.now() - timedelta(days=1), coffee, coffee)
    walk("d", timezone.now() - timedelta(days=1), garden, garden)
    ranking = measured().report["ranking"]
    assert ranking["cases"] > 50
    assert ranking["difference"] < -0.1
    assert ranking["high"] < 0
    assert "ranks the latest events worse" in "".join(drift.sentences(DriftReport.objects.get()))


def test_probabilities_are_set_beside_what_came_true() -> None:
    from tests.services.training.test_adaptation import live, next_family, shop

    products = shop()
    live(products, next_family)
    times = Interaction.objects.order_by("at").values_list("at", flat=True)
    version = runs.train("product", by="test", now=times[int(len(times) * 0.8)])
    assert gate_of(version).taken
    promised = measured().report["ranking"]["promises"]
    assert sum(count for *_, count in promised) > 400
    given, true = ([row[place] for row in promised] for place in (0, 1))
    assert given == sorted(given)
    assert true[-1] > true[0] + 0.3  # what got the highest probability was taken more often
    assert all(abs(share - mean) < 0.25 for mean, share, count in promised if count >= 50)


def test_queries_drift_too() -> None:
    products = trained(lambda products: list(products.values()))
    lives(list(products.values()), since=timezone.now() - timedelta(days=1), prefix="new", seed=1)
    for words, days in (("espresso coffee beans", 3), ("garden lawn mower", 1)):
        for number in range(60):
            row = Impression.objects.create(
                user_key="1",
                document="product",
                placement="search",
                query=f"{words} {number % 5}",
                ranking=[],
            )
            Impression.objects.filter(pk=row.pk).update(at=timezone.now() - timedelta(days=days))
    report = measured()
    assert report.report["queries"]["auc"] > 0.95
    assert report.level == "rerun"
    assert any("search for" in sentence for sentence in drift.sentences(report))


def test_refused_consent_leaves_events_out() -> None:
    from django.conf import settings

    trained(lambda products: list(products.values()))
    with override_settings(LLMREC={**settings.LLMREC, "CONSENT": "off"}):
        assert measured().report["events"] == {"auc": None, "before": 0, "now": 0}


def test_without_a_model_there_is_nothing_to_drift_from() -> None:
    open_shop(copies=1)
    assert drift.measure("product") is None
    assert drift.measure("course") is None
    runs.train("product", by="test")  # from no event at all
    assert drift.measure("product") is None
    assert drift.measure_all() == []
    assert live_pair("product").model_version is not None


def test_the_task_measures_every_document_and_starts_nothing_where_all_is_well() -> None:
    trained(lambda products: list(products.values()))
    assert tasks.measure_drift() == 0
    report = DriftReport.objects.get()
    assert report.report["ranking"] is None
    assert report.report["unseen_share"] is None
    assert report.level == "steady"
