"""System checks of the settings and of every declaration: what is wrong, where, and how to mend it.

They read declarations and models only: no network, no database, no engine is made, no model loaded.
"""

from llmrec_plugin.checks.databases import check_routers
from llmrec_plugin.checks.documents import check_documents, check_people
from llmrec_plugin.checks.engines import check_engines
from llmrec_plugin.checks.registered import check_sentences, check_strategies
from llmrec_plugin.checks.settings import check_extras, check_settings, check_throttles

__all__ = [
    "check_documents",
    "check_engines",
    "check_extras",
    "check_people",
    "check_routers",
    "check_sentences",
    "check_settings",
    "check_strategies",
    "check_throttles",
]
