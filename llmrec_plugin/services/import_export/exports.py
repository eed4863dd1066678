"""Items and events as files of JSON Lines that `importing` reads, written while they are read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmrec_plugin.documents import ImportedItemDocument, SearchDocument, registry
from llmrec_plugin.documents.imported import PASSAGE
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import ImportedItem, Interaction
from llmrec_plugin.services.items.preparation import prepared_if_it_can_be
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.types import FilterValue, PreparedItem, Progress

CHUNK = 2_000
"""Rows that are held in memory at a time."""

Line = Mapping[str, Any]


def export_items(path: Path, *, document: str, progress: Progress | None = None) -> int:
    """Write the items of a document that can be found; returns how many.

    Imported items are written as they came. Those of the site's own models are written as they are
    declared, with `_` for `__` in names of fields and dates as seconds since 1970, so that another site
    can import them. Raises NotFound for an unknown document, InvalidRequest where the file cannot be
    written; then there is none.
    """
    declared = registry.get(document)
    rows = declared.get_queryset().order_by("pk")
    lines = _imported(rows) if isinstance(declared, ImportedItemDocument) else _declared(declared, rows)
    return _write(path, lines, total=rows.count() if progress else 0, progress=progress)


def export_interactions(path: Path, *, document: str, progress: Progress | None = None) -> int:
    """Write the events with a document's items of the users who agree to their use, oldest first.

    The users' keys are in the file. Events that came with an id keep it, the others are known again by all
    that they say, so a file that is imported twice is stored once. Raises as `export_items`.
    """
    label = registry.get(document).label
    rows = consent.consented(Interaction.objects.filter(document=label)).order_by("id")
    return _write(path, _events(rows), total=rows.count() if progress else 0, progress=progress)


def _imported(rows: Any) -> Iterator[Line]:
    for item in rows.iterator(CHUNK):
        yield _imported_line(item)


def _imported_line(item: ImportedItem) -> Line:
    line = {"id": item.pk, "document": item.document, "text": item.text, "filters": item.filters}
    return {**line, "image": item.image} if item.image else line


def _declared(document: SearchDocument[Any], rows: Any) -> Iterator[Line]:
    """Yield the items as declared; what the site's own code cannot prepare is in no index, and not here
    either."""
    for row in rows.iterator(CHUNK):
        if found := prepared_if_it_can_be(document, row):
            yield _declared_line(document.label, found)


def _declared_line(label: str, found: PreparedItem) -> Line:
    text = {_plain(name): value for name, value in found.text.items()}
    if found.passage != "\n".join(value for value in text.values() if value):
        text[PASSAGE] = found.passage
    filters = {_plain(name): _listed(value) for name, value in found.filters.items() if value is not None}
    return {"id": found.key, "document": label, "text": text, "filters": filters}


def _plain(name: str) -> str:
    """Return what no field is mistaken for: `__` would be read as a path into the text of an imported
    item."""
    return name.replace("__", "_")


def _listed(value: FilterValue) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _events(rows: Any) -> Iterator[Line]:
    columns = ("event_id", "user_key", "document", "item_id", "kind", "value", "at")
    for own_id, user, label, item, kind, value, at in rows.values_list(*columns).iterator(CHUNK):
        line = {"user": user, "document": label, "item": item, "kind": kind, "time": at.isoformat()}
        own = {"id": own_id, "value": value}
        yield {**line, **{name: value for name, value in own.items() if value is not None}}


def _write(path: Path, lines: Iterator[Line], *, total: int, progress: Progress | None) -> int:
    """Write the file whole or not at all."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    count = 0
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            for count, line in enumerate(lines, start=1):
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                if progress is not None and count % CHUNK == 0:
                    progress(count, max(count, total))
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise InvalidRequest(f"{path} cannot be written: {error}.", parameter="file") from error
    return count
