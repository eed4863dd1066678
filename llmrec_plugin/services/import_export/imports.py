"""Items, interactions and judgements from files: a bad line is reported by number and the rest goes on."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from django.db import connections, router, transaction
from django.db.models import Model

from llmrec_plugin import moments
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import ImportedItem, Judgment, own
from llmrec_plugin.services.indexing import marks
from llmrec_plugin.services.interactions import recording
from llmrec_plugin.services.interactions.recording import NewInteraction
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.suggest import hint
from llmrec_plugin.types import Progress

BATCH = 500
MAX_ID = 255
MAX_IMAGE = 500
MAX_QUERY = 500
MAX_QUERY_ID = 100
GRADES = range(4)
_UNSTORABLE = re.compile(r"(?<!\\)(?:\\\\)*\\u0000|[\ud800-\udfff]")
"""In JSON that escapes nothing but controls, quotes and backslashes."""

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    stored: int
    skipped: int
    """Well-formed, but there already or without the user's consent."""
    errors: list[tuple[int, str]] = field(default_factory=list)
    """(line number from 1, why it was left out)."""


def import_items(
    path: Path, *, document: str | None = None, strict: bool = False, progress: Progress | None = None
) -> ImportReport:
    """Store JSON Lines of items as ImportedItem rows and have them indexed; a known id is replaced.

    `document` is for lines that name none. With `strict` the first bad line raises InvalidRequest and
    nothing is stored.
    """

    def store(batch: Sequence[tuple[int, ImportedItem]], tally: _Tally) -> None:
        rows = _latest_of(batch, key=lambda item: item.pk)
        owners = dict(ImportedItem.objects.filter(pk__in=rows).values_list("pk", "document"))
        for pk, (number, item) in list(rows.items()):
            if owners.get(pk, item.document) != item.document:
                tally.refuse(number, f'The id "{pk}" belongs to the document "{owners[pk]}".')
                del rows[pk]
        items = [item for _, item in rows.values()]
        _upsert(ImportedItem, items, unique=["id"], update=["document", "text", "filters", "image"])
        for label in sorted({item.document for item in items}):
            marks.mark_keys(label, [item.pk for item in items if item.document == label])
        tally.stored += len(items)

    return _run(path, lambda line: _item(_json(line), document), store, strict=strict, progress=progress)


def import_interactions(
    path: Path, *, document: str | None = None, strict: bool = False, progress: Progress | None = None
) -> ImportReport:
    """Store JSON Lines of events. A file can be imported twice: lines with an `id` or a `time` are then
    known. `document` and `strict` as in `import_items`."""

    def store(batch: Sequence[tuple[int, NewInteraction]], tally: _Tally) -> None:
        report = recording.record_many([event for _, event in batch])
        tally.stored += report.stored
        tally.skipped += report.duplicates
        for position, reason in report.reasons.items():
            if reason in (recording.NO_CONSENT, recording.SWITCHED_OFF):
                tally.skipped += 1
            else:
                tally.refuse(batch[position][0], reason)

    return _run(path, lambda line: _event(_json(line), document), store, strict=strict, progress=progress)


def import_judgments(
    path: Path,
    *,
    queries: Path | None = None,
    document: str | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Store TREC qrels (`query 0 item grade`) with the texts of their queries, from JSON Lines of
    {"id", "text"}; queries that are stored already need none. A known judgement is replaced."""
    label = _label(document)
    texts = dict(
        Judgment.objects.filter(document=label).order_by().values_list("query_id", "query").distinct()
    )
    texts |= _query_texts(queries) if queries is not None else {}

    def store(batch: Sequence[tuple[int, Judgment]], tally: _Tally) -> None:
        rows = _latest_of(batch, key=lambda row: (row.query_id, row.item_id))
        judgments = [row for _, row in rows.values()]
        _upsert(Judgment, judgments, unique=["document", "query_id", "item_id"], update=["query", "grade"])
        tally.stored += len(judgments)

    return _run(path, lambda line: _judgment(line, label, texts), store, strict=strict, progress=progress)


@dataclass
class _Tally:
    """Collects the report while it is being made."""

    path: Path
    strict: bool
    stored: int = 0
    skipped: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)

    def refuse(self, number: int, why: str) -> None:
        if self.strict:
            raise InvalidRequest(f"{self.path.name}, line {number}: {why}", parameter="file")
        self.errors.append((number, why))

    def report(self) -> ImportReport:
        return ImportReport(stored=self.stored, skipped=self.skipped, errors=sorted(self.errors))


def _run(
    path: Path,
    parse: Callable[[str], Parsed],
    store: Callable[[Sequence[tuple[int, Parsed]], _Tally], None],
    *,
    strict: bool,
    progress: Progress | None,
) -> ImportReport:
    tally = _Tally(path, strict)
    total = _count_lines(path) if progress is not None else 0
    if strict:
        with transaction.atomic(using=own.database()):
            _walk(path, parse, store, tally, progress, total)
    else:
        _walk(path, parse, store, tally, progress, total)
    return tally.report()


def _walk(
    path: Path,
    parse: Callable[[str], Parsed],
    store: Callable[[Sequence[tuple[int, Parsed]], _Tally], None],
    tally: _Tally,
    progress: Progress | None,
    total: int,
) -> None:
    lines = _lines(path)
    while batch := list(islice(lines, BATCH)):
        parsed = []
        for number, raw in batch:
            try:
                parsed.append((number, parse(_decoded(raw))))
            except InvalidRequest as error:
                tally.refuse(number, str(error))
        if parsed:
            with transaction.atomic(using=own.database()):
                store(parsed, tally)
        if progress is not None:
            progress(batch[-1][0], total)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (number from 1, line); empty lines are left out."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if raw.strip():
                yield number, raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _decoded(raw: bytes) -> str:
    if b"\0" in raw:
        raise InvalidRequest(f"This is no text: there is a NUL at byte {raw.index(0)}.")
    try:
        return raw.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"This is no UTF-8: {error.reason} at byte {error.start}.") from None


def _json(line: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"This is no JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"A line holds one JSON object, not a {type(value).__name__}.")
    if "\\u" in line and _UNSTORABLE.search(json.dumps(value, ensure_ascii=False)):
        raise InvalidRequest("PostgreSQL stores neither NUL (\\u0000) nor half a surrogate pair.")
    return value


def _item(line: Mapping[str, Any], document: str | None) -> ImportedItem:
    key = _identifier(line, "id", limit=MAX_ID)
    label = _label(line.get("document") or document)
    if not any(known.label == label for known in registry.for_model(ImportedItem)):
        raise InvalidRequest(
            f'No document "{label}" reads imported items: register an ImportedItemDocument '
            f'with label = "{label}" in a search_documents.py.'
        )
    text = line.get("text")
    if not isinstance(text, dict) or not text or not all(isinstance(value, str) for value in text.values()):
        raise InvalidRequest('"text" must be an object of texts, such as {"title": "…"}.')
    filters = line.get("filters", {})
    if not isinstance(filters, dict) or not all(_is_filter_value(value) for value in filters.values()):
        raise InvalidRequest(
            '"filters" must be an object of texts, finite numbers, booleans or lists of them.'
        )
    image = line.get("image") or ""
    if not isinstance(image, str) or len(image) > MAX_IMAGE:
        raise InvalidRequest(f'"image" must be a text of at most {MAX_IMAGE} characters.')
    return ImportedItem(id=key, document=label, text=text, filters=filters, image=image)


def _is_filter_value(value: object) -> bool:
    if isinstance(value, list):
        return all(not isinstance(part, list) and _is_filter_value(part) for part in value)
    return isinstance(value, str | int | bool) or (isinstance(value, float) and math.isfinite(value))


def _event(line: Mapping[str, Any], document: str | None) -> NewInteraction:
    label = _label(line.get("document") or document)
    at = _time(line.get("time"))
    event = NewInteraction(
        user_key=_identifier(line, "user", limit=consent.MAX_USER_KEY),
        document=label,
        item_id=_identifier(line, "item", limit=MAX_ID),
        kind=str(line.get("kind", "")),
        value=line.get("value"),
        at=at,
        event_id=_event_id(line, label),
    )
    recording.validate(event)
    return event


def _event_id(line: Mapping[str, Any], label: str) -> str | None:
    """Return the line's own id, or one made of what it says; a line without a time may mean a second
    event."""
    if line.get("id") is not None:
        return _identifier(line, "id", limit=recording.MAX_EVENT_ID)
    if line.get("time") is None:
        return None
    said = [label, *(str(line.get(name)) for name in ("user", "item", "kind", "value", "time"))]
    return "import:" + hashlib.sha256("\0".join(said).encode("utf-8", "surrogatepass")).hexdigest()


def _time(value: object) -> datetime | None:
    """Return the time; one without a zone is read in the site's."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None:
        raise InvalidRequest(f'"time" must be in ISO 8601, such as 2024-05-01T12:00:00Z, not {value!r}.')
    return moments.as_stored(at)


def _judgment(line: str, label: str, texts: Mapping[str, str]) -> Judgment:
    parts = line.split()
    if len(parts) != 4:
        raise InvalidRequest(f"A line of qrels has four parts, `query 0 item grade`, not {len(parts)}.")
    query_id, _, item, grade = parts
    if query_id not in texts:
        raise InvalidRequest(f'The query "{query_id}" has no text: name the file of queries.')
    if not grade.lstrip("-").isdecimal():
        raise InvalidRequest(f'The grade "{grade}" is no whole number.')
    if int(grade) not in GRADES:
        raise InvalidRequest(f"The grade {grade} lies outside of {GRADES.start} to {GRADES.stop - 1}.")
    return Judgment(query_id=query_id, query=texts[query_id], document=label, item_id=item, grade=int(grade))


def _query_texts(path: Path) -> dict[str, str]:
    """Read the queries; raise InvalidRequest for a bad line: without its query a judgement cannot be read."""
    texts: dict[str, str] = {}
    for number, line in objects(path, parameter="queries"):
        try:
            text = line.get("text")
            if not isinstance(text, str) or not 0 < len(text) <= MAX_QUERY:
                raise InvalidRequest(f'"text" must be a text of 1 to {MAX_QUERY} characters.')
            texts[_identifier(line, "id", limit=MAX_QUERY_ID)] = text
        except InvalidRequest as error:
            raise InvalidRequest(f"{path.name}, line {number}: {error}", parameter="queries") from None
    return texts


def query_users(path: Path) -> dict[str, str]:
    """Return query id -> the user who asks it, of a file of queries that was read before; most name
    nobody."""
    lines = objects(path, parameter="queries")
    return {str(line["id"]): str(line["user"]) for _, line in lines if line.get("user")}


def objects(path: Path, *, parameter: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (number from 1, object) of each line of a file that is read as a whole or not at all; raises
    InvalidRequest for the parameter, naming the line, for one that is no object."""
    for number, raw in _lines(path):
        try:
            line = _json(_decoded(raw))
        except InvalidRequest as error:
            raise InvalidRequest(f"{path.name}, line {number}: {error}", parameter=parameter) from None
        yield number, line


def _label(document: object) -> str:
    labels = registry.labels()
    if document in labels:
        return str(document)
    if not document and len(labels) == 1:
        return labels[0]
    known = ", ".join(labels) or "none is registered"
    raise InvalidRequest(
        f'There is no document "{document}". {hint(document, labels)}'
        if document
        else f"Name the document: {known}.",
        parameter="document",
    )


def _identifier(line: Mapping[str, Any], name: str, *, limit: int) -> str:
    value = line.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or not 0 < len(str(value)) <= limit:
        raise InvalidRequest(f'"{name}" must be a text or whole number of 1 to {limit} characters.')
    return str(value)


def _latest_of(
    batch: Iterable[tuple[int, Parsed]], *, key: Callable[[Parsed], Any]
) -> dict[Any, tuple[int, Parsed]]:
    """Return one line per key, the last of those in the batch: one statement cannot write a row twice."""
    return {key(parsed): (number, parsed) for number, parsed in batch}


def _upsert(model: type[Model], rows: Sequence[Model], *, unique: list[str], update: list[str]) -> None:
    if not rows:
        return
    features = connections[router.db_for_write(model)].features
    model._default_manager.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=unique if features.supports_update_conflicts_with_target else None,
        update_fields=update,
    )
