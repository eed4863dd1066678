"""What a site declares: which of its models are found, what is known of its users, where its events lie.

# shop/search_documents.py, found by autodiscovery
@register
class ProductDocument(SearchDocument[Product]):
    model = Product
    text_fields = {"title": 3, "description": 1}
    filter_fields = ["category", "price"]
    related = {Category: "category"}
"""

from llmrec_plugin.contributions import Contribution, register_contribution
from llmrec_plugin.documents.imported import ImportedItemDocument
from llmrec_plugin.documents.people import InteractionSource, SourceEvent, UserDocument
from llmrec_plugin.documents.progression import Progression
from llmrec_plugin.documents.registry import Registry, register, registry
from llmrec_plugin.documents.search import SearchDocument
from llmrec_plugin.documents.signals import Signal, SignalContext, Signals, ValueSignal, register_signal
from llmrec_plugin.event_kinds import EventKind, register_event_kind
from llmrec_plugin.types import AttachedIndex

__all__ = [
    "AttachedIndex",
    "Contribution",
    "EventKind",
    "ImportedItemDocument",
    "InteractionSource",
    "Progression",
    "Registry",
    "SearchDocument",
    "Signal",
    "SignalContext",
    "Signals",
    "SourceEvent",
    "UserDocument",
    "ValueSignal",
    "register",
    "register_contribution",
    "register_event_kind",
    "register_signal",
    "registry",
]
