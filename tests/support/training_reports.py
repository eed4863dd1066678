"""Reads what a training reported, and demands that there is something."""

from __future__ import annotations

from llmrec_plugin.learning.selection.steps import SelectionStep
from llmrec_plugin.models import ModelVersion
from llmrec_plugin.services.model_registry.training_report import PrivacyBill, report_of


def gate_of(version: ModelVersion) -> SelectionStep:
    """Return how the model compared with what answered before."""
    gate = report_of(version).gate
    assert gate is not None
    return gate


def bill_of(version: ModelVersion) -> PrivacyBill:
    """Return what the training told of any one user."""
    bill = report_of(version).privacy
    assert bill is not None
    return bill


def step_names(version: ModelVersion) -> list[str]:
    """Return the steps that were tried."""
    return [step.name for step in report_of(version).steps]
