"""Holds what a training stores of an adaptation: the head, its configuration and its calibration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.learning.prediction.calibration import Pointwise
from llmrec_plugin.learning.scorers.catalogue_scores import Shares, Weights
from llmrec_plugin.learning.scorers.neighbours import (
    NeighbourConfig,
)
from llmrec_plugin.learning.scorers.projection_head import Head
from llmrec_plugin.learning.scorers.whitening import Whitening
from llmrec_plugin.learning.selection.model_config import HeadConfig, ScorerConfig
from llmrec_plugin.learning.selection.transfer import Source


@dataclass(frozen=True, eq=False, kw_only=True)
class Adaptation:
    """Holds what won, fitted on all events; it belongs to the vectors of one encoder."""

    encoder_id: str
    config: ScorerConfig
    head: Head | None
    """None: the frozen vectors stand."""
    pointwise: Pointwise | None = None
    """How a score is read as a probability."""
    source: Source | None = None
    """What the head is learned towards, where that came from another site."""

    @cached_property
    def fingerprint(self) -> str:
        """Return a hash of all that a user's vector depends on."""
        parts = [json.dumps(asdict(self.config), sort_keys=True).encode()]
        if self.head is not None:
            parts += [self.head.whitening.mean.tobytes(), self.head.adapted.tobytes()]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what safetensors stores."""
        plain = {
            "encoder_id": self.encoder_id,
            "config": asdict(self.config),
            "pointwise": asdict(self.pointwise) if self.pointwise else None,
        }
        arrays: dict[str, NDArray[Any]] = {
            "adaptation": np.frombuffer(json.dumps(plain, sort_keys=True).encode(), dtype=np.uint8)
        }
        if self.head is not None:
            arrays["head.mean"] = self.head.whitening.mean
            arrays["head.whitening"] = np.ascontiguousarray(self.head.whitening.matrix)
            arrays["head.adapted"] = np.ascontiguousarray(self.head.adapted)
        if self.source is not None:
            arrays["source.map"] = np.ascontiguousarray(self.source.map)
            arrays["source.weight"] = np.array([self.source.weight], np.float64)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Adaptation | None:
        if "adaptation" not in arrays:
            return None
        plain = json.loads(arrays["adaptation"].tobytes())
        config = config_from_json(plain["config"])
        head = None
        if "head.adapted" in arrays:
            whitening = Whitening(mean=arrays["head.mean"], matrix=arrays["head.whitening"])
            head = Head(whitening=whitening, adapted=arrays["head.adapted"], gamma=config.gamma)
        pointwise = Pointwise(**plain["pointwise"]) if plain["pointwise"] else None
        source = None
        if "source.map" in arrays:
            source = Source(arrays["source.map"], float(arrays["source.weight"][0]))
        return cls(
            encoder_id=plain["encoder_id"], config=config, head=head, pointwise=pointwise, source=source
        )


def config_from_json(plain: Mapping[str, Any]) -> ScorerConfig:
    head, weights = plain["head"], plain["weights"]
    return ScorerConfig(
        **{
            **plain,
            "shares": Shares(**plain["shares"]),
            "weights": None if weights is None else Weights(**weights),
            "head": None if head is None else HeadConfig(**head),
            "neighbours": NeighbourConfig(**plain["neighbours"]),
        }
    )
