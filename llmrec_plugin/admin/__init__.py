"""The app in Django's admin: everything can be seen, what is a result cannot be edited."""

from llmrec_plugin.admin import (
    backlog,
    configuration,
    dashboard,
    encoders,
    evaluations,
    events,
    experiments,
    explorer,
    judgments,
    learning,
    placements,
    rules,
    status,
    synonyms,
    versions,
)

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
