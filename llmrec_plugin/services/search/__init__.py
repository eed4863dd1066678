"""A query text to one ranked list, and what helps to type or repair one."""

from llmrec_plugin.services.search.pipeline import next_page, search

__all__ = ["next_page", "search"]
