"""What people do: recorded with consent, taken over from the site's rows, read as histories."""

from llmrec_plugin.services.interactions.history import kind_labels, latest_events
from llmrec_plugin.services.interactions.login_merge import merge
from llmrec_plugin.services.interactions.recording import (
    NewInteraction,
    RecordReport,
    record,
    record_many,
    withdraw,
)
from llmrec_plugin.services.interactions.site_sources import SourceReport, reconcile, taken_over
from llmrec_plugin.services.interactions.source_changes import mark

__all__ = [
    "NewInteraction",
    "RecordReport",
    "SourceReport",
    "kind_labels",
    "latest_events",
    "mark",
    "merge",
    "reconcile",
    "record",
    "record_many",
    "taken_over",
    "withdraw",
]
