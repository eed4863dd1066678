"""Tells what the sources of a personal list count: as an editor says, or as the events of the site proved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from llmrec_plugin.learning.prediction.calibration import Pointwise
from llmrec_plugin.models import Configuration
from llmrec_plugin.ranking.personal import PersonalWeights, common_points
from llmrec_plugin.ranking.profile import Profile
from llmrec_plugin.services.model_registry.adaptation import Adaptation
from llmrec_plugin.services.model_registry.artefacts import LearnedModel
from llmrec_plugin.types import RankedItem, Vector


def weights_of(
    adaptation: Adaptation | None, learned: LearnedModel, configuration: Configuration
) -> PersonalWeights:
    """Return the learned weights, or without them the configured ones."""
    weights = adaptation.config.weights if adaptation else None
    counted = weights or configuration.shares()
    return PersonalWeights(
        taste=counted.taste,
        neighbours=counted.neighbours,
        popularity=counted.popularity,
        learned=weights is not None,
        average=learned.average,
    )


def pointwise_of(
    adaptation: Adaptation | None,
    ranked: Sequence[RankedItem],
    *,
    profile: Profile | None,
    vectors: Mapping[str, Vector],
    prior: Mapping[str, float],
    weights: PersonalWeights,
) -> Pointwise | None:
    """Return what makes probabilities of the contributions in this very list; None where they are not
    known."""
    calibrated = adaptation.pointwise if adaptation else None
    item = next((item for item in ranked if item.key in vectors), None)
    if calibrated is None or profile is None or item is None:
        return None
    common = common_points(item, profile=profile, vectors=vectors, prior=prior, weights=weights)
    scales = calibrated.taste, calibrated.neighbours, calibrated.popularity
    shift = math.fsum(scale * points for scale, points in zip(scales, common, strict=True))
    return replace(calibrated, bias=calibrated.bias + shift)
