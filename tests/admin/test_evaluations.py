"""An evaluation as an editor reads it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from llmrec_plugin.models import Evaluation

pytestmark = pytest.mark.django_db

METRICS = {"NDCG@10": 0.1234, "HR@10": 0.2, "coverage": None}
PAIRED = {
    "metric": "NDCG@10",
    "method": "served",
    "baseline": "ease",
    "difference": 0.02,
    "low": 0.011,
    "high": 0.031,
    "ratio": 1.2,
}
REPORT = {
    "recommendation": {
        "protocol": "temporal",
        "events": 1000,
        "items": 50,
        "users": 20,
        "cases": {"all": 90, "cold items": 5, "cold users": 0},
        "best_baseline": "ease",
        "methods": {"ease": METRICS, "served": {**METRICS, "NDCG@10": 0.1434}},
        "slices": {"cold items": {"served": METRICS}, "cold users": {"served": METRICS}},
        "paired": [PAIRED, {**PAIRED, "slice": "cold items among cold items"}],
        "ladder": {"step": "head", "gate": {"taken": True}},
        "fit_seconds": 3.25,
    },
    "search": {"queries": 7, "judgments": 80, "methods": {"bm25": METRICS}, "paired": [PAIRED]},
}


def page_of(client: Client, report: dict[str, Any]) -> str:
    row = Evaluation.objects.create(document="product", report=report, by="anna")
    return client.get(reverse("admin:llmrec_plugin_evaluation_change", args=[row.pk])).content.decode()


def test_the_tables_say_who_won_by_how_much_and_how_sure_that_is(admin_client: Client) -> None:
    page = page_of(admin_client, REPORT)
    assert "Recommendation, the latest events: 90 of 1000 foreseen, 50 items, 20 users" in page
    assert "0.1434" in page
    assert "+0.0110\u00a0…\u00a0+0.0310" in page
    assert "what is served - taken by the same people (EASE)" in page
    assert "NDCG@10 (Items without events, among themselves)" in page
    assert "<strong>what is served</strong>" in page
    assert "Items without events: 5 events" in page
    assert "Users without events" not in page  # there were none
    assert "Training took 3.2 s, and its highest step “head” was served." in page
    assert "Search: 7 queries, 80 judgements" in page
    assert "<td>–</td>" in page


def test_one_judged_query_is_no_queries(admin_client: Client) -> None:
    page = page_of(admin_client, {"search": {**REPORT["search"], "queries": 1, "judgments": 1}})
    assert "Search: 1 query, 1 judgement<" in page


def test_encoders_are_compared_task_by_task(admin_client: Client) -> None:
    compared = [
        {**PAIRED, "method": "e5", "baseline": "minilm", "task": task}
        for task in ("recommendation", "search")
    ]
    page = page_of(admin_client, {"comparison": compared})
    assert "Encoders: recommendation as served" in page
    assert "Encoders: search as served" in page
    assert page.count("e5 - minilm") == 2


def test_each_encoder_stands_beside_the_others_with_its_costs(admin_client: Client) -> None:
    served = {"methods": {"served": {"NDCG@10": 0.31}, "text-frozen": {"NDCG@10": 0.12}}}
    encoders = {
        "e5": {"recommendation": served, "items_per_second": 42.0, "peak_mb": 2089.4},
        "minilm": {"recommendation": served, "items_per_second": 84.0, "peak_mb": None},
    }
    report = {**REPORT, "encoders": encoders, "choice": {"encoder": "minilm", "why": "It is the fastest."}}
    page = page_of(admin_client, report)
    assert "Encoders: each by itself; the tables above are of minilm" in page
    for told in ("by texts alone, NDCG@10", "0.3100", "0.1200", "42.0", "84.0", "2089.4"):
        assert told in page
    assert "search, NDCG@10" not in page  # with neither of them


def test_the_list_shows_the_figures_that_count(admin_client: Client) -> None:
    Evaluation.objects.create(document="product", report=REPORT, by="anna")
    Evaluation.objects.create(document="course", report={}, by="anna")
    page = admin_client.get(reverse("admin:llmrec_plugin_evaluation_changelist")).content.decode()
    assert "0.1434" in page
    assert "0.1234 (taken by the same people (EASE))" in page


def test_a_training_that_changed_nothing_says_so(admin_client: Client) -> None:
    part = REPORT["recommendation"]
    stayed = {**part, "ladder": {"step": "head", "gate": {"taken": False}}, "protocol": "last-out"}
    assert "no step was proven better" in page_of(admin_client, {"recommendation": stayed})
    few = {**part, "ladder": {"step": "", "gate": None}}
    assert "Too few events to choose settings by" in page_of(admin_client, {"recommendation": few})
