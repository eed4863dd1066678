"""Learns neighbours by EASE where it fits, by item-kNN above."""

from __future__ import annotations

import math

import numpy as np

from llmrec_plugin.learning.scorers.ease import ease, ease_fits
from llmrec_plugin.learning.scorers.item_knn import item_knn
from llmrec_plugin.learning.scorers.neighbours import TOP, Method, NeighbourConfig, Neighbours, UserItem
from llmrec_plugin.types import Matrix

MAX_ITEMS_FOR_LIKENESS = 50_000
"""The likeness of all pairs of texts takes time that grows with the square of their number: a minute here."""
USUAL_CONFIG = NeighbourConfig()


def fit_neighbours(
    user_item: UserItem,
    *,
    config: NeighbourConfig = USUAL_CONFIG,
    whitened: Matrix | None = None,
    top: int = TOP,
) -> tuple[Neighbours, Method]:
    """Return neighbours by the method asked for, as far as the size of the catalogue allows it, and by which.

    `whitened`: shape (items, d), unit rows or zero ones for texts that are not known; needed for `likeness`,
    which counts nothing where `texts_fit` says no.
    """
    features = None
    if whitened is not None and config.likeness > 0 and texts_fit(len(whitened)):
        features = np.float32(math.sqrt(config.likeness)) * whitened
    if config.method == "item-knn":
        return item_knn(user_item, features=features, shrink=config.strength, top=top), "item-knn"
    if ease_fits(user_item.shape[1]):
        return ease(user_item, features=features, regularisation=config.strength, top=top), "ease"
    return item_knn(user_item, features=features, top=top), "item-knn"


def texts_fit(items: int) -> bool:
    """Return whether so many are few enough for the likeness of all pairs of texts."""
    return items <= MAX_ITEMS_FOR_LIKENESS
