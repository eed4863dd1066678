"""Connects the signals of registered models, and of no others, to those who follow them."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.db.models import signals

from llmrec_plugin.documents import registry
from llmrec_plugin.receivers import after_response
from llmrec_plugin.receivers.dispatch import dispatch
from llmrec_plugin.receivers.documents import connect_handler, follow_document, model_family
from llmrec_plugin.receivers.interaction_sources import dispatch_sources, follow_source
from llmrec_plugin.receivers.users import PeopleFollower, dispatch_people, erase_deleted, follow_events
from llmrec_plugin.services.indexing import outbox
from llmrec_plugin.services.interactions import source_changes
from llmrec_plugin.services.privacy import derived_data


def connect() -> None:
    """Follow every registered model; may be called again after a registration."""
    for document in registry:
        follow_document(document)
    for source in registry.interaction_sources:
        follow_source(source)
    for user_document in registry.user_documents:
        handler = PeopleFollower(user_document).on_change
        for model in model_family(user_document.model):
            for name in ("post_save", "post_delete"):
                connect_handler(getattr(signals, name), handler, model, f"people:{name}")
    for model in model_family(get_user_model()):
        connect_handler(signals.post_delete, erase_deleted, model)
    derived_data.acted.connect(follow_events, dispatch_uid="llmrec_plugin.follow_events")
    derived_data.changed.connect(dispatch_people, dispatch_uid="llmrec_plugin.dispatch_people")
    source_changes.changed.connect(dispatch_sources, dispatch_uid="llmrec_plugin.dispatch_sources")
    outbox.marked.connect(dispatch, dispatch_uid="llmrec_plugin.dispatch")
    after_response.connect()
