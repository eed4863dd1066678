"""The documents that the request names, each over imported items."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from llmrec_plugin.documents import ImportedItemDocument, register
from llmrec_plugin.models import ImportedItem
from llmrec_plugin.types import Document

PASSAGE = "passage of the encoder"
"""Key, among the texts of an item, of what the encoder reads where the site decides that itself."""


def _document(declared: dict[str, Any]) -> type[ImportedItemDocument]:
    class RequestedDocument(ImportedItemDocument):
        label = declared["label"]
        text_fields = declared["text_fields"]
        language = declared["language"]

        def prepare(self, obj: ImportedItem) -> Document | None:
            found = super().prepare(obj)
            if found is None or PASSAGE not in obj.text:
                return found
            return Document(
                key=found.key, text=found.text, passage=obj.text[PASSAGE], language=found.language
            )

    return RequestedDocument


for requested in settings.REQUEST["documents"]:  # type: ignore[misc]
    register(_document(requested))
