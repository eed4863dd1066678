"""Registers the built-in types of lists, one to a file, as soon as it is imported."""

# In the order in which people are told of them, most wanted first.
# isort: off
from llmrec_plugin.services.recommendations.strategies import for_you
from llmrec_plugin.services.recommendations.strategies import because_you_viewed
from llmrec_plugin.services.recommendations.strategies import basket
from llmrec_plugin.services.recommendations.strategies import next_step
from llmrec_plugin.services.recommendations.strategies import similar
from llmrec_plugin.services.recommendations.strategies import also_bought
from llmrec_plugin.services.recommendations.strategies import trending
from llmrec_plugin.services.recommendations.strategies import popular
from llmrec_plugin.services.recommendations.strategies import latest
# isort: on

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
