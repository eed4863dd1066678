"""(g) What a head learned on one site is worth on another, by how many events of its own that one has.

NDCG@10 of likeness alone on the target's last window; the settings are fixed, nothing is chosen on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.behaviour import SITES
from llmrec_plugin.evaluation.lists import accuracy
from llmrec_plugin.evaluation.protocol import rank_cases, temporal_cases
from llmrec_plugin.learning.scorers.projection_head import Head
from llmrec_plugin.learning.selection.model_config import (
    HeadConfig,
    ScorerConfig,
    fit_text,
    likeness,
    recent,
)
from llmrec_plugin.learning.selection.transfer import Source, head_from, map_of
from llmrec_plugin.types import Matrix

PAIRS = (("retail", "industrial"), ("industrial", "retail"), ("retail", "courses"), ("courses", "industrial"))
SIZES = (0, 100, 1_000, 10_000)
WEIGHT = 1_000.0
MIX = 1.0
SETUP = ScorerConfig(gamma=0.8, head=HeadConfig(ridge=1e-3, mix=MIX))
CASES = 2_000


def run(folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """Rows by number of own events; the last row is all of them."""
    from benchmarks import host
    from llmrec_plugin.encoders.base import EncoderSpec, load_encoder

    host.start(work, encoder)
    loaded = load_encoder(EncoderSpec(name=encoder))
    sites = {name: SITES[name](folder) for name in dict.fromkeys(name for pair in PAIRS for name in pair)}
    vectors = {name: loaded.encode_document(texts) for name, (texts, _, _) in sites.items()}
    maps = {}
    for name, (_, events, split) in sites.items():
        head = fit_text(SETUP, events.part(slice(0, split.test.start)), vectors[name])
        assert head is not None
        maps[name] = map_of(head, mix=MIX)
    return {
        f"{source} to {target}": _curve(sites[target], vectors[target], maps[source])
        for source, target in PAIRS
    }


def _curve(site: Any, vectors: Matrix, source: Matrix) -> dict[str, dict[str, float]]:
    _, events, split = site
    known = events.part(slice(0, split.test.start))
    cases = temporal_cases(events, split.test, rng=np.random.default_rng(0), most=CASES)

    def worth(head: Head | None) -> float:
        score = likeness(head, vectors, gamma=SETUP.gamma)
        outcome = rank_cases(lambda batch: score(recent(batch)), cases)
        return float(np.nanmean(accuracy(outcome.ranks)["NDCG@10"]))

    table = {"as they are": {"nothing": worth(None), "source": worth(None)}}
    for size in (*(size for size in SIZES if size < len(known)), len(known)):
        own = known.part(slice(len(known) - size, len(known)))
        table[f"{size} events"] = {
            "nothing": worth(fit_text(SETUP, own, vectors)),
            "source": worth(head_from(Source(source, WEIGHT), SETUP, own, vectors)),
        }
    return table
