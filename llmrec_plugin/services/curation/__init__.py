"""What editors decide, remembered by each process: rules, placements, synonyms, the configuration."""

from llmrec_plugin.services.curation.configuration import configure

__all__ = ["configure"]
