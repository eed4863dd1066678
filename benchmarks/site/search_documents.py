"""The benchmark's items as a document: title and description, with equal weight."""

from __future__ import annotations

from llmrec_plugin.documents import SearchDocument, register
from llmrec_plugin.models import ImportedItem


@register
class ItemDocument(SearchDocument[ImportedItem]):
    model = ImportedItem
    label = "item"
    text_fields = {"title": 1, "description": 1}
    language = "en"

    def prepare_title(self, item: ImportedItem) -> str:
        return str(item.text.get("title", ""))

    def prepare_description(self, item: ImportedItem) -> str:
        return str(item.text.get("description", ""))
