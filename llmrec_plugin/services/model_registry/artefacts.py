"""Holds what a model learned of a site's items from what its users did, as it is stored and served."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from llmrec_plugin.learning.scorers.neighbours import TOP, Neighbours
from llmrec_plugin.models import Configuration, ModelArtefact, ModelVersion
from llmrec_plugin.services.coordination import caches
from llmrec_plugin.services.deployment.live import LivePair
from llmrec_plugin.services.model_registry.adaptation import Adaptation


@dataclass(frozen=True, eq=False)
class LearnedModel:
    """Holds what was learned from the behaviour of all users with one document type."""

    keys: tuple[str, ...]
    """The items that had events, in the order of the arrays."""
    neighbours: Neighbours
    """By rows of `keys`, then of `others`."""
    together: NDArray[np.bool_]
    """Shape of the neighbours: whether anybody took both; if not, it is their texts that are alike."""
    prior: NDArray[np.float32]
    """Popularity by item of `keys`, 0..1."""
    kind: str
    """The kind of event that most of it goes back to; empty when nothing was learned."""
    others: tuple[str, ...] = ()
    """Items without events that have neighbours, too."""
    adaptation: Adaptation | None = None
    """How the user's history leads to texts; None: too few events to tell."""

    @property
    def uses_recent_popularity(self) -> bool:
        """Return whether popularity is that of the latest events alone, which then told more than that of
        all."""
        return self.adaptation is not None and self.adaptation.config.popularity != "all-time"

    @cached_property
    def positions(self) -> Mapping[str, int]:
        return {key: position for position, key in enumerate(self.keys)}

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """Return the keys by row of the neighbours."""
        return (*self.keys, *self.others)

    @cached_property
    def _rows(self) -> Mapping[str, int]:
        return {key: row for row, key in enumerate(self._names)}

    @cached_property
    def popular(self) -> tuple[tuple[str, float], ...]:
        """Return (key, popularity), most popular first, equal ones by key."""
        return tuple(
            sorted(zip(self.keys, self.prior.tolist(), strict=True), key=lambda row: (-row[1], row[0]))
        )

    @cached_property
    def average(self) -> float:
        """Return the popularity that an item without events counts with."""
        return float(self.prior.mean()) if len(self.prior) else 0.0

    def neighbours_of(self, key: str) -> list[tuple[str, float]]:
        """Return what leads on from this item and how strongly, strongest first: what people took as well,
        and what is like that; empty for an item that was not there yet."""
        row = self._rows.get(key)
        if row is None:
            return []
        return [(self._names[item], weight) for item, weight in self.neighbours.of(row)]

    def text_neighbours(self, key: str) -> frozenset[str]:
        """Return those neighbours of the item that nobody took together with it: their texts are alike."""
        row = self._rows.get(key)
        if row is None:
            return frozenset()
        apart = self.neighbours.indices[row][~self.together[row]]
        return frozenset(self._names[item] for item in apart.tolist() if item >= 0)

    def co_interacted(self, key: str) -> list[tuple[str, float]]:
        """Return those neighbours of the item that people took as well, strongest first."""
        text_neighbours = self.text_neighbours(key)
        return [(other, weight) for other, weight in self.neighbours_of(key) if other not in text_neighbours]

    def scores_by_history(
        self, sources: Mapping[str, float], *, together: bool = False
    ) -> dict[str, dict[str, float]]:
        """Return candidate -> past item -> weight, for past items that count as given; with `together` only
        what people took together."""
        find = self.co_interacted if together else self.neighbours_of
        found: dict[str, dict[str, float]] = {}
        for source, amount in sources.items():
            for candidate, weight in find(source):
                if candidate != source:
                    found.setdefault(candidate, {})[source] = weight * amount
        return found

    def popularity_of(self, keys: Iterable[str]) -> dict[str, float]:
        """Return popularity by item; those without events are left out."""
        return {key: float(self.prior[self.positions[key]]) for key in keys if key in self.positions}


NOTHING_LEARNED = LearnedModel(
    keys=(),
    neighbours=Neighbours(indices=np.empty((0, TOP), np.int32), weights=np.empty((0, TOP), np.float32)),
    together=np.empty((0, TOP), np.bool_),
    prior=np.empty(0, np.float32),
    kind="",
)

loaded: caches.LatestUsed[str, LearnedModel] = caches.LatestUsed(8)


def learned_by(model_version: ModelVersion | None) -> LearnedModel:
    """Return what that version learned, kept in the process; one query when it is first used here."""
    if model_version is None or model_version.artefact_id is None:
        return NOTHING_LEARNED
    sha256 = model_version.artefact_id
    known = loaded.get(sha256)
    if known is None:
        content = ModelArtefact.objects.values_list("content", flat=True).get(pk=sha256)
        known = from_bytes(bytes(content))
        loaded.put(sha256, known)
    return known


def adaptation_of(pair: LivePair, configuration: Configuration) -> Adaptation | None:
    """Return what the events taught of the texts, where it was learned with the encoder that answers, and
    editors do not count their own weights instead."""
    learned = learned_by(pair.model_version).adaptation if configuration.learned else None
    if learned is None or learned.encoder_id != pair.index_version.encoder_id:
        return None
    return learned


def to_bytes(learned: LearnedModel) -> bytes:
    """Return it as safetensors; texts are UTF-8 JSON in an array of bytes."""
    from safetensors.numpy import save

    return cast(
        bytes,
        save(
            {
                "keys": _json_bytes(learned.keys),
                "kind": _json_bytes(learned.kind),
                "neighbours.indices": np.ascontiguousarray(learned.neighbours.indices, dtype=np.int32),
                "neighbours.weights": np.ascontiguousarray(learned.neighbours.weights, dtype=np.float32),
                "neighbours.together": np.ascontiguousarray(learned.together),
                "others": _json_bytes(learned.others),
                "prior": np.ascontiguousarray(learned.prior, dtype=np.float32),
                **(learned.adaptation.to_arrays() if learned.adaptation else {}),
            }
        ),
    )


def from_bytes(content: bytes) -> LearnedModel:
    from safetensors.numpy import load

    arrays = load(content)
    return LearnedModel(
        keys=tuple(json.loads(arrays["keys"].tobytes())),
        neighbours=Neighbours(indices=arrays["neighbours.indices"], weights=arrays["neighbours.weights"]),
        together=arrays["neighbours.together"],
        prior=arrays["prior"],
        kind=json.loads(arrays["kind"].tobytes()),
        others=tuple(json.loads(arrays["others"].tobytes())),
        adaptation=Adaptation.from_arrays(arrays),
    )


def _json_bytes(value: object) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value).encode(), dtype=np.uint8)
