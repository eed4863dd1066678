"""(i) What noise costs: a private head beside one without noise and none, by epsilon.

NDCG@10 of likeness alone on the last window; nothing is chosen on it, and the settings are the product's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.behaviour import SITES, Site
from llmrec_plugin.evaluation.lists import accuracy
from llmrec_plugin.evaluation.protocol import histories, rank_cases, temporal_cases
from llmrec_plugin.learning.privacy.gaussian import mu_of
from llmrec_plugin.learning.privacy.noisy_sums import GAMMA, HEAD_SHARE, MIN_RIDGE, MIX, private_head
from llmrec_plugin.learning.scorers.projection_head import Head
from llmrec_plugin.learning.scorers.whitening import fit_whitening
from llmrec_plugin.learning.selection.model_config import (
    HeadConfig,
    ScorerConfig,
    fit_text,
    likeness,
    recent,
)
from llmrec_plugin.types import Matrix

EPSILONS = (16.0, 8.0, 4.0, 2.0)
DELTA = 1e-5
DRAWS = 3
CASES = 2_000


def run(folder: Path, work: Path, encoder: str) -> dict[str, Any]:
    """One column per epsilon, the mean over some draws of the noise."""
    from benchmarks import host
    from llmrec_plugin.encoders.base import EncoderSpec, load_encoder

    host.start(work, encoder)
    loaded = load_encoder(EncoderSpec(name=encoder))
    found = {}
    for name, read in SITES.items():
        site = read(folder)
        found[name] = _rows(site, loaded.encode_document(site[0]))
    return found


def _rows(site: Site, vectors: Matrix) -> dict[str, float]:
    _, events, split = site
    known = events.part(slice(0, split.test.start))
    cases = temporal_cases(events, split.test, rng=np.random.default_rng(0), most=CASES)
    whitening = fit_whitening(vectors)
    whitened, past = whitening.apply(vectors), histories(known)

    def worth(head: Head | None) -> float:
        score = likeness(head, vectors, gamma=GAMMA)
        outcome = rank_cases(lambda batch: score(recent(batch)), cases)
        return float(np.nanmean(accuracy(outcome.ranks)["NDCG@10"]))

    def private(epsilon: float, draw: int) -> float:
        mu, rng = mu_of(epsilon, DELTA) * HEAD_SHARE**0.5, np.random.default_rng(draw)
        return worth(private_head(past, whitened, whitening, mu=mu, rng=rng))

    whitened_only = ScorerConfig(gamma=GAMMA, head=HeadConfig())
    learned = ScorerConfig(gamma=GAMMA, head=HeadConfig(ridge=MIN_RIDGE, mix=MIX))
    return {
        "users": float(len(past)),
        "frozen": worth(None),
        "whitened": worth(fit_text(whitened_only, known, vectors)),
        **{
            f"epsilon {epsilon:g}": float(np.mean([private(epsilon, draw) for draw in range(DRAWS)]))
            for epsilon in EPSILONS
        },
        "no noise": worth(fit_text(learned, known, vectors)),
    }
