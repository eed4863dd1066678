"""How a model version was chosen, as an editor reads it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from llmrec_plugin.models import ModelArtefact, ModelVersion

pytestmark = pytest.mark.django_db

STEP = {"name": "head", "value": 0.1234, "gain": 0.02, "low": 0.011, "taken": True, "reason": ""}
REFUSED = {**STEP, "name": "prior", "low": -0.002, "taken": False}


def page_of(client: Client, report: dict[str, Any]) -> str:
    artefact, _ = ModelArtefact.objects.get_or_create(sha256="0" * 64, defaults={"content": b""})
    version = ModelVersion.objects.create(document="product", artefact=artefact, report=report)
    url = reverse("admin:llmrec_plugin_modelversion_change", args=[version.pk])
    return client.get(url).content.decode()


def test_each_step_is_shown_with_its_proof_and_the_verdict(admin_client: Client) -> None:
    report = {"ladder": [STEP, REFUSED], "gate": STEP, "validation_events": 512, "step": "head"}
    page = page_of(admin_client, report)
    assert "texts, turned by the events" in page
    assert "0.1234" in page
    assert "+0.0110" in page
    assert "not proven" in page
    assert "On 512 events that nothing was learned from it beats what answered before." in page


def test_a_candidate_that_did_not_win_says_so(admin_client: Client) -> None:
    costly = {**REFUSED, "reason": "new-items"}
    report = {"ladder": [costly], "gate": REFUSED, "validation_events": 300, "step": "popularity"}
    page = page_of(admin_client, report)
    assert "it does not beat what answered before" in page
    assert "new items would be ranked worse" in page


def test_without_enough_events_the_configured_weights_count(admin_client: Client) -> None:
    assert "the configured weights count" in page_of(admin_client, {"ladder": [], "gate": None})
