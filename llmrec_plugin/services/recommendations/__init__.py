"""A placement to one list: context, candidates, strategies, weights."""

from llmrec_plugin.services.curation.list_types import ListType
from llmrec_plugin.services.recommendations import strategies  # noqa: F401  (registers the built-in ones)
from llmrec_plugin.services.recommendations.context import Anchor, RecommendationContext
from llmrec_plugin.services.recommendations.pipeline import also_bought, recommend, similar
from llmrec_plugin.services.recommendations.strategy import (
    CandidateList,
    ListStrategy,
    register_strategy,
    unregister_strategy,
)

__all__ = [
    "Anchor",
    "CandidateList",
    "ListStrategy",
    "ListType",
    "RecommendationContext",
    "also_bought",
    "recommend",
    "register_strategy",
    "similar",
    "unregister_strategy",
]
