"""A placement to one list: context, candidates, strategies, weights."""

from llmrec_plugin.services.recommendations.pipeline import also, recommend, similar

__all__ = ["also", "recommend", "similar"]
