"""The benchmark's items as a document: title and description, with equal weight."""

from __future__ import annotations

from llmrec_plugin.documents import ImportedItemDocument, register


@register
class ItemDocument(ImportedItemDocument):
    label = "item"
    text_fields = {"title": 1, "description": 1}
    language = "en"
