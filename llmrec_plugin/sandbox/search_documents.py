"""The documents that the request names, each over imported items."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from llmrec_plugin.documents import ImportedItemDocument, register


def _document(declared: dict[str, Any]) -> type[ImportedItemDocument]:
    class RequestedDocument(ImportedItemDocument):
        label = declared["label"]
        text_fields = declared["text_fields"]
        language = declared["language"]

    return RequestedDocument


for requested in settings.REQUEST["documents"]:  # type: ignore[misc]
    register(_document(requested))
