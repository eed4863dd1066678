"""The built-in types of lists, one to a file; to import this package is to register them all."""

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
