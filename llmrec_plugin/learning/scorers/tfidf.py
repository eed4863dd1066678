"""Compares texts by their words alone: what an encoder has to beat to be worth its cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmrec_plugin.learning.scorers.catalogue_scores import Histories
from llmrec_plugin.types import Matrix


def tfidf(texts: Sequence[Sequence[str]]) -> Any:
    """Return scipy.sparse rows of unit length, one per text given as its words: (1 + log tf) * (log(n / df) +
    1)."""
    from scipy import sparse

    number: dict[str, int] = {}
    rows = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    columns = [number.setdefault(word, len(number)) for text in texts for word in text]
    ones = np.ones(len(columns), np.float32)
    counts = sparse.csr_array((ones, (rows, columns)), shape=(len(texts), max(1, len(number))))
    counts.sum_duplicates()
    counts.data = 1.0 + np.log(counts.data)
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    rarity = np.log(len(texts) / np.maximum(frequency, 1)) + 1.0
    weighted = counts.multiply(rarity.astype(np.float32)[None, :]).tocsr()
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return sparse.diags_array(1.0 / np.where(lengths > 0, lengths, 1.0)) @ weighted


@dataclass(frozen=True, eq=False)
class WordLikeness:
    """Scores items as score_i = sum_j gamma^age_j <text_j, text_i>, the user's words at unit length."""

    texts: Any
    """As `tfidf` gives them."""
    gamma: float

    def __call__(self, histories: Histories) -> Matrix:
        from scipy import sparse

        rows = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
        items = [item for history in histories for item in history]
        ages = [age for history in histories for age in range(len(history) - 1, -1, -1)]
        weights = np.float32(self.gamma) ** np.asarray(ages, np.float32)
        shape = (len(histories), self.texts.shape[0])
        users = sparse.csr_array((weights, (rows, items)), shape=shape) @ self.texts
        lengths = np.sqrt(np.asarray(users.multiply(users).sum(axis=1)).ravel())
        scores: Matrix = (users @ self.texts.T).toarray().astype(np.float32)
        scores /= np.where(lengths > 0, lengths, 1.0)[:, None].astype(np.float32)
        return scores
