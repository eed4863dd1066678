"""The app in Django's admin: everything can be seen, what is a result cannot be edited."""

from llmrec_plugin.admin.curation import configuration, placements, rules, synonyms
from llmrec_plugin.admin.insight import dashboard, evaluations, experiments, explorer, judgments
from llmrec_plugin.admin.operations import backlog, encoders, events, learning, status, versions

__all__ = [
    "backlog",
    "configuration",
    "dashboard",
    "encoders",
    "evaluations",
    "events",
    "experiments",
    "explorer",
    "judgments",
    "learning",
    "placements",
    "rules",
    "status",
    "synonyms",
    "versions",
]
