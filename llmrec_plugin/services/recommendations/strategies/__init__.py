"""Registers the built-in types of lists, one to a file, as soon as it is imported."""

from llmrec_plugin.services.recommendations.strategies import (
    also_bought,
    basket,
    because_you_viewed,
    for_you,
    latest,
    next_step,
    popular,
    similar,
    trending,
)

__all__ = [
    "also_bought",
    "basket",
    "because_you_viewed",
    "for_you",
    "latest",
    "next_step",
    "popular",
    "similar",
    "trending",
]
