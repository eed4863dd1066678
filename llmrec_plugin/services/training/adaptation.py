"""Learns how to turn a taste within the space of the texts, and chooses by events that were held back."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from llmrec_plugin.evaluation.protocol import Events, validation_split
from llmrec_plugin.exceptions import InvalidVector
from llmrec_plugin.learning.scorers.catalogue_scores import Shares
from llmrec_plugin.learning.scorers.ease import MAX_ITEMS_FOR_EASE, ease_fits
from llmrec_plugin.learning.scorers.neighbour_fit import texts_fit
from llmrec_plugin.learning.scorers.neighbours import NeighbourConfig
from llmrec_plugin.learning.scorers.whitening import fit_whitening
from llmrec_plugin.learning.selection.model_config import ScorerConfig, fit_text
from llmrec_plugin.learning.selection.stepwise import SelectionResult, select_stepwise
from llmrec_plugin.learning.selection.transfer import head_from
from llmrec_plugin.models import Embedding, IndexVersion
from llmrec_plugin.services.inference.item_vectors import vector_matrix
from llmrec_plugin.services.model_registry.adaptation import Adaptation
from llmrec_plugin.services.model_registry.training_report import TrainingReport
from llmrec_plugin.types import Matrix, Progress

logger = logging.getLogger(__name__)
MAX_ITEMS = 20_000
"""Items that are ranked while settings are compared: those with the most events first."""
SEED = 0


def adapt(
    version: IndexVersion,
    keys: Sequence[str],
    log: Events,
    *,
    incumbent: Adaptation | None,
    configured: Shares,
    progress: Progress | None = None,
) -> tuple[Adaptation | None, TrainingReport]:
    """Return what the events of `log`, on rows of `keys`, carry, and how it was chosen.

    `incumbent` is what answers now, None: the `configured` weights with frozen vectors. None as the result:
    these stay. An incumbent that was not beaten is fitted anew on all events; without enough events, or
    with another encoder than it was made for, there is none. One that came from another site stays until
    it is beaten.
    """
    started = time.perf_counter()
    if incumbent is not None and incumbent.encoder_id != version.encoder_id:
        incumbent = None
    vectors, events = item_vectors(version, keys, log)
    if not len(events):
        return (incumbent if incumbent and incumbent.source else None), TrainingReport()
    split = validation_split(events)
    choice = select_stepwise(
        events,
        vectors,
        incumbent=incumbent.config if incumbent else ScorerConfig(shares=configured),
        source=incumbent.source if incumbent else None,
        train=split.train,
        valid=split.valid,
        rng=np.random.default_rng(SEED),
        progress=progress,
    )
    adapted = None
    if incumbent is not None and incumbent.source is not None and choice.config == incumbent.config:
        adapted = replace(incumbent, head=head_from(incumbent.source, incumbent.config, events, vectors))
    elif choice.gate is not None and (choice.gate.taken or incumbent is not None):
        head = fit_text(choice.config, events, vectors)
        adapted = Adaptation(
            encoder_id=version.encoder_id, config=choice.config, head=head, pointwise=choice.pointwise
        )
    return adapted, selection_report(choice, seconds=time.perf_counter() - started)


def item_vectors(version: IndexVersion, keys: Sequence[str], log: Events) -> tuple[Matrix, Events]:
    """Return the vectors of the items, those with the most events first, and the events on their rows."""
    counts = np.bincount(log.items, minlength=len(keys))
    wanted = {key: -int(count) for key, count in zip(keys, counts, strict=True)}
    rows = Embedding.objects.filter(document=version.document, encoder_id=version.encoder_id)
    embedded = rows.order_by("item_id").values_list("item_id", flat=True)
    known = sorted(embedded, key=lambda key: wanted.get(key, 0))[:MAX_ITEMS]
    place = {key: row for row, key in enumerate(known)}
    vectors = vector_matrix(version, known)
    row_of = np.array([place.get(key, -1) for key in keys], np.int64)
    moved = row_of[log.items] if len(log) else np.empty(0, np.int64)
    kept = moved >= 0
    amounts = None if log.amounts is None else log.amounts[kept]
    return vectors, Events(log.users[kept], moved[kept], log.times[kept], amounts)


def whitened_rows(
    version: IndexVersion, keys: Sequence[str], *, config: NeighbourConfig
) -> tuple[tuple[str, ...], Matrix | None]:
    """Return items without events that neighbours may lead to, the newest first, and the whitened vectors of
    `keys` and of these, zero where an item has none. None: likeness does not count, there are too many items
    for it, or vectors tell nothing."""
    if config.likeness <= 0 or not texts_fit(len(keys)):
        return (), None
    room = MAX_ITEMS_FOR_EASE if ease_fits(len(keys)) else MAX_ITEMS
    others = others_embedded(version, keys, most=max(0, room - len(keys)))
    vectors = vector_matrix(version, (*keys, *others))
    known = vectors.any(axis=1)
    try:
        vectors[known] = fit_whitening(vectors[known]).apply(vectors[known])
    except InvalidVector:
        return (), None
    return others, vectors


def others_embedded(version: IndexVersion, keys: Collection[str], *, most: int) -> tuple[str, ...]:
    """Return items that have a vector beside these, the newest first."""
    known = set(keys)
    rows = Embedding.objects.filter(document=version.document, encoder_id=version.encoder_id).order_by("-pk")
    found = rows.values_list("item_id", flat=True).iterator(chunk_size=2_000)
    return tuple(itertools.islice((key for key in found if key not in known), most))


def selection_report(choice: SelectionResult, *, seconds: float) -> TrainingReport:
    """Return how the config was chosen, for the model version."""
    logger.info("ladder step=%s cases=%d seconds=%.1f", choice.name, choice.cases, seconds)
    return TrainingReport(selection=choice, selection_seconds=round(seconds, 3))
