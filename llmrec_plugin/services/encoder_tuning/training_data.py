"""Makes what an encoder is tuned on: texts, pairs and the vectors that it is to stay near."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from llmrec_plugin.encoders.base import Encoder
from llmrec_plugin.exceptions import TrainingFailed
from llmrec_plugin.learning.mining.coreset import k_centre
from llmrec_plugin.learning.mining.text_pairs import Pairs, hard_negatives, known_pairs
from llmrec_plugin.services.encoder_tuning.behaviour import Behaviour, judged_from
from llmrec_plugin.services.encoder_tuning.pairs import BUILDERS, MAX_VALID, MIN_TRAIN, MIN_VALID
from llmrec_plugin.training.base import TrainingData, TrainingOptions
from llmrec_plugin.types import Matrix


def make_training_data(
    behaviour: Behaviour,
    encoder: Encoder,
    options: TrainingOptions,
    *,
    prompts: tuple[str, str],
    source: Sequence[str] = (),
) -> TrainingData:
    """Return pairs, texts and the vectors that the tuned encoder is to stay near.

    `prompts`: of queries and of documents, as the encoder puts them before each text; `source`: passages that
    are not to be told from the items'. Raises TrainingFailed for too few events.
    """
    rng = np.random.default_rng(options.seed)
    queries = tuple(dict.fromkeys(behaviour.clicks.queries))
    items, known_texts = len(behaviour.keys), len(behaviour.keys) + len(queries)
    pairs = BUILDERS[options.loss](behaviour, queries, options, rng)
    valid = _drawn(pairs.valid, MAX_VALID, rng)
    _check_enough(behaviour, pairs.train, valid)
    vectors = _vectors(encoder, behaviour.texts, queries)
    known = known_pairs(behaviour.events.part(behaviour.split.train), size=known_texts, more=[pairs.train])
    train = _chosen(pairs.train, vectors, options, rng)
    if options.hard_negatives:
        train = train.with_negatives(hard_negatives(train, vectors, known, items=items, rng=rng))
    query_prompt, document_prompt = prompts
    return TrainingData(
        texts=[
            *(document_prompt + text for text in behaviour.texts),
            *(query_prompt + query for query in queries),
            *(document_prompt + text for text in source),
        ],
        items=items,
        train=train,
        valid=valid,
        known=known,
        neighbours=pairs.neighbours,
        frozen=vectors if options.anchor else None,
        source=np.arange(known_texts, known_texts + len(source), dtype=np.int32),
        titles=np.array([len(document_prompt) + len(title) for title in behaviour.titles], np.int32),
        facts=_facts(behaviour, source),
    )


def _check_enough(behaviour: Behaviour, train: Pairs, valid: Pairs) -> None:
    if len(train) < MIN_TRAIN or len(valid) < MIN_VALID:
        raise TrainingFailed(
            f"{len(behaviour.events)} interactions make {len(train)} pairs to learn from and {len(valid)} to "
            f"stop by; at least {MIN_TRAIN} and {MIN_VALID} are needed. Nothing was changed."
        )


def _facts(behaviour: Behaviour, source: Sequence[str]) -> dict[str, str | int]:
    """Return what the card of the encoder says of its data."""
    return {
        "interactions": len(behaviour.events),
        "first": behaviour.since.isoformat() if behaviour.since else "",
        "last": behaviour.until.isoformat() if behaviour.until else "",
        "held back from learning since": _moment(behaviour, judged_from(behaviour)),
        "items with interactions": len(behaviour.keys),
        "searches that led to an item": len(behaviour.clicks.items),
        **({"texts of the source": len(source)} if source else {}),
    }


def _moment(behaviour: Behaviour, at: float) -> str:
    """Return it as ISO 8601; empty for one that is not in time."""
    if behaviour.until is None or not np.isfinite(at):
        return ""
    return datetime.fromtimestamp(at, tz=behaviour.until.tzinfo).isoformat()


def _vectors(encoder: Encoder, texts: Sequence[str], queries: Sequence[str]) -> Matrix:
    return np.concatenate([encoder.encode_document(list(texts)), encoder.encode_query(list(queries))])


def _chosen(pairs: Pairs, vectors: Matrix, options: TrainingOptions, rng: np.random.Generator) -> Pairs:
    """Return at most as many pairs as the options say."""
    if len(pairs) <= options.most_pairs or not options.coreset:
        return _drawn(pairs, options.most_pairs, rng)
    sides = np.concatenate([vectors[pairs.left[:, -1]], vectors[pairs.right]], axis=1)
    return pairs.part(k_centre(sides, options.most_pairs, rng=rng))


def _drawn(pairs: Pairs, most: int, rng: np.random.Generator) -> Pairs:
    if len(pairs) <= most:
        return pairs
    return pairs.part(np.sort(rng.choice(len(pairs), size=most, replace=False)))
