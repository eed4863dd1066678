"""ImportedItemDocument: items that came from a file and have no model in this site."""

from __future__ import annotations

from dataclasses import replace

from django.db.models import QuerySet

from llmrec_plugin.documents.search import SearchDocument
from llmrec_plugin.models import ImportedItem
from llmrec_plugin.types import PreparedItem

PASSAGE = "passage of the encoder"
"""Key among the texts of an item of what the encoder reads, where that is not simply all of them."""


class ImportedItemDocument(SearchDocument[ImportedItem]):
    """One kind of imported item; give it a `label` and name the keys of the file's "text" and "filters".

        @register
        class FilmDocument(ImportedItemDocument):
            label = "film"
            text_fields = {"title": 2, "description": 1}
            filter_fields = ["year"]
            kinds = {"year": "number"}

    `manage.py llmrec import items films.jsonl --document film` fills it.
    """

    model = ImportedItem

    def prepare(self, obj: ImportedItem) -> PreparedItem | None:
        found = super().prepare(obj)
        if found is None or PASSAGE not in obj.text:
            return found
        return replace(found, passage=obj.text[PASSAGE])

    def get_queryset(self) -> QuerySet[ImportedItem]:
        """Only the items that were imported for this document."""
        return super().get_queryset().filter(document=self.label)

    def filter_paths(self) -> dict[str, str]:
        return {name: f"filters__{path}" for name, path in super().filter_paths().items()}

    def text_paths(self) -> dict[str, str]:
        return {name: f"text__{path}" for name, path in super().text_paths().items()}
