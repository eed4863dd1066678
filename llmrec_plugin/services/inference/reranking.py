"""Has the first results of a search read beside the query, in time or not at all: then they stay as found."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from threading import Thread
from typing import Any

from llmrec_plugin import monitoring
from llmrec_plugin.conf import Reranking, get_settings
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.encoders.reranking import load_reranker
from llmrec_plugin.exceptions import EncoderUnavailable
from llmrec_plugin.ranking.rerank import Rerank
from llmrec_plugin.services.coordination import site_code
from llmrec_plugin.services.items import preparation

logger = logging.getLogger(__name__)

BATCH = 4
"""Passages that are read between two looks at the clock."""
PART = "reranker"
"""What it is called where it fails."""


class RerankStage:
    """A stage that has the first results of one search read beside its query, all or none of them."""

    def __init__(self, document: SearchDocument[Any], text: str, settings: Reranking) -> None:
        self._document, self._text, self._settings = document, text, settings

    def stage(self) -> Rerank:
        return Rerank(self._scores, self._settings.items, self._settings.weight)

    def _scores(self, keys: Sequence[str]) -> Mapping[str, float]:
        return site_code.call(PART, lambda: self._read(keys), otherwise={}, lacks="rerank")

    def _read(self, keys: Sequence[str]) -> dict[str, float]:
        """Return the score of each; raises whatever the reranker does, and EncoderUnavailable for lack of
        time."""
        reranker = load_reranker(_spec(self._settings))
        ends = time.monotonic() + self._settings.seconds
        passages = preparation.passages(self._document, keys)
        scores: dict[str, float] = {}
        with monitoring.rerank_seconds.time(document=self._document.label):
            for start in range(0, len(passages), BATCH):
                if time.monotonic() >= ends:
                    raise EncoderUnavailable(f"{self._settings.seconds} seconds were not enough.")
                part = list(passages)[start : start + BATCH]
                found = reranker.score(self._text, [passages[key] for key in part])
                scores |= dict(zip(part, found.tolist(), strict=True))
        return scores


def rerank_stage_for(document: SearchDocument[Any], text: str) -> RerankStage | None:
    """Return the stage; None where the site reranks nothing, or nothing was typed that means anything."""
    settings = get_settings()
    if settings.RERANK is None or not settings.ENABLED or not text:
        return None
    return RerankStage(document, text, settings.RERANK)


def warm_up() -> None:
    """Load the model in the background, for the start of a web process."""
    settings = get_settings()
    if settings.RERANK is not None and settings.ENABLED:
        Thread(target=_load, args=(settings.RERANK,), name="llmrec-reranker", daemon=True).start()


def _load(settings: Reranking) -> None:
    try:
        load_reranker(_spec(settings))
    except Exception as error:
        logger.error("reranker unusable error=%s", site_code.described(error))


def _spec(settings: Reranking) -> EncoderSpec:
    return EncoderSpec(name=settings.model, options=settings.options)
