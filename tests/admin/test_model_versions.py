"""How a model version was chosen, as an editor reads it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from llmrec_plugin.learning.selection.model_config import ScorerConfig
from llmrec_plugin.learning.selection.steps import SelectionStep
from llmrec_plugin.learning.selection.stepwise import SelectionResult
from llmrec_plugin.models import ModelArtefact, ModelVersion
from llmrec_plugin.services.model_registry.training_report import VERSION, TrainingReport

pytestmark = pytest.mark.django_db

STEP = SelectionStep(name="head", value=0.1234, gain=0.02, low=0.011, taken=True)
REFUSED = replace(STEP, name="prior", low=-0.002, taken=False)


def page_of(client: Client, *steps: SelectionStep, gate: SelectionStep | None, cases: int = 0) -> str:
    choice = SelectionResult(config=ScorerConfig(), steps=steps, gate=gate, cases=cases)
    return page_of_report(client, TrainingReport(selection=choice).to_json())


def page_of_report(client: Client, report: dict[str, Any]) -> str:
    artefact, _ = ModelArtefact.objects.get_or_create(sha256="0" * 64, defaults={"content": b""})
    version = ModelVersion.objects.create(document="product", artefact=artefact, report=report)
    url = reverse("admin:llmrec_plugin_modelversion_change", args=[version.pk])
    return client.get(url).content.decode()


def test_each_step_is_shown_with_its_proof_and_the_verdict(admin_client: Client) -> None:
    page = page_of(admin_client, STEP, REFUSED, gate=STEP, cases=512)
    assert "texts, turned by the events" in page
    assert "0.1234" in page
    assert "+0.0110" in page
    assert "not proven" in page
    assert "On 512 events that nothing was learned from it beats what answered before." in page


def test_a_candidate_that_did_not_win_says_so(admin_client: Client) -> None:
    page = page_of(admin_client, replace(REFUSED, reason="new-items"), gate=REFUSED, cases=300)
    assert "it does not beat what answered before" in page
    assert "new items would be ranked worse" in page


def test_without_enough_events_the_configured_weights_count(admin_client: Client) -> None:
    assert "the configured weights count" in page_of(admin_client, gate=None)
    assert "the configured weights count" in page_of_report(admin_client, {})


def test_a_report_of_another_release_is_shown_as_it_is_stored(admin_client: Client) -> None:
    page = page_of_report(admin_client, {"version": VERSION + 1, "novelty": 0.5, "erased": 1})
    assert "Another release of the package wrote it" in page
    assert "novelty" in page
    assert "kept for a while, knows erased users" in page
    assert admin_client.get(reverse("admin:llmrec_plugin_modelversion_changelist")).status_code == 200
