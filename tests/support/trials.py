"""Experiments as an editor would make them."""

from __future__ import annotations

from typing import Any

from llmrec_plugin.models import Experiment
from llmrec_plugin.services.experiments import lifecycle


def draft(placement: str = "search", *, arms: int = 1, **values: Any) -> Experiment:
    """A control and `arms` others; `values` that an arm knows describe the first of them."""
    of_arm = {
        name: values.pop(name)
        for name in ("overrides", "index_version", "model_version", "share")
        if name in values
    }
    instead = values.pop("instead", "")
    experiment = Experiment.objects.create(
        name="a trial", document="product", placement=placement, salt="always the same", **values
    )
    experiment.arms.create(name="as it is", is_control=True)
    if not of_arm.keys() & {"index_version", "model_version"} and not instead:
        of_arm.setdefault("overrides", {"text_weight": 1.0})
    experiment.arms.create(name="new", placement=instead, **of_arm)
    for number in range(1, arms):
        experiment.arms.create(name=f"other {number}", overrides={"text_weight": 0.1})
    return experiment


def running(placement: str = "search", **values: Any) -> Experiment:
    return lifecycle.start(draft(placement, **values), by="editor")
