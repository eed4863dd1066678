"""Reads texts of another site, or of another document, that an encoder is not to tell from the site's own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.services.import_export.imports import objects
from llmrec_plugin.services.items.preparation import prepared_items

CHUNK = 500
MAX_TEXTS = 20_000
"""Of the source; as many are drawn as there are pairs."""


def source_texts(source: str, *, own: str) -> tuple[str, ...]:
    """Return passages of the items of a document of this site, or of a file of items (JSON Lines, `text` by
    field).

    Raises InvalidRequest, naming the parameter, for what is neither, has no texts or is the document `own`.
    """
    if source == own:
        raise InvalidRequest(f'"{source}" cannot be the source of itself.', parameter="source")
    if source in registry.labels():
        found = _of_document(registry.get(source))
    elif Path(source).is_file():
        found = _of_file(Path(source))
    else:
        known = ", ".join(label for label in registry.labels() if label != own)
        raise InvalidRequest(
            f'"{source}" is neither a file of items nor one of the other documents ({known or "none"}).',
            parameter="source",
        )
    texts = tuple(islice(found, MAX_TEXTS))
    if not texts:
        raise InvalidRequest(f'"{source}" has no texts.', parameter="source")
    return texts


def _of_document(document: SearchDocument[Any]) -> Iterator[str]:
    pks = document.get_queryset().order_by("pk").values_list("pk", flat=True).distinct()[:MAX_TEXTS]
    keys = [str(pk) for pk in pks]
    for start in range(0, len(keys), CHUNK):
        items = prepared_items(document, keys[start : start + CHUNK])
        yield from (item.passage for item in items.values())


def _of_file(path: Path) -> Iterator[str]:
    for number, line in objects(path, parameter="source"):
        fields = line.get("text")
        if not isinstance(fields, dict):
            raise InvalidRequest(
                f'{path.name}, line {number}: an item has a "text" with its fields, such as '
                '{"id": "1", "text": {"title": "Red mug"}}.',
                parameter="source",
            )
        passage = "\n".join(str(value) for value in fields.values() if value)
        if passage:
            yield passage
