"""Sends changes in bulk, guarded by their revisions, and says what became of each.

The cluster compares revisions itself (external versions), for deletes as well, and remembers a delete for
`index.gc_deletes`. Writes go through an alias that only `create_index` makes, since Elasticsearch would
otherwise make a missing index by itself, with a mapping of its own guess.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from elasticsearch import ApiError, Elasticsearch

from llmrec_plugin.backends.elasticsearch.client import BUSY, failure, translated
from llmrec_plugin.backends.elasticsearch.mapping import BREADTH, DIGEST, KEY, STARTS, VECTOR, name_of
from llmrec_plugin.backends.elasticsearch.options import Options
from llmrec_plugin.backends.elasticsearch.queries import vector_values
from llmrec_plugin.backends.elasticsearch.terms import encode_terms
from llmrec_plugin.backends.validation import check_item, unit_vectors
from llmrec_plugin.exceptions import BackendUnavailable, NotFound
from llmrec_plugin.types import IndexedItem, IndexSchema, Removal, Seen, Vector, WriteReport

logger = logging.getLogger("llmrec_plugin.backends.elasticsearch")

MAX_ACTIONS = 1_000
"""Of a bulk request, however small they are."""

LONGEST_KEY = 512
"""Bytes of an `_id`."""
_FIRST_PAUSE = 0.5
"""Seconds before the first repetition; each further one waits twice as long."""
_TOO_MUCH = (400, 413)
"""Statuses that blame the request: its parts may be fine each by itself."""
_CONFLICT = 409
_PARTS = ("items.*.status", "items.*.error.type", "items.*.error.reason", "items.*.error.caused_by")
_PREVIEW = "Preview of field's value"
"""From here on a reason cites the item, which is nobody's business in a log."""


@dataclass(frozen=True)
class Target:
    """Where a write goes."""

    client: Elasticsearch
    name: str
    """As the app calls the index."""
    alias: str
    schema: IndexSchema
    options: Options
    parts: tuple[str, ...] = _PARTS
    """Of the answer to a bulk request."""


class Action(NamedTuple):
    key: str
    payload: bytes
    """Lines of the bulk request."""


@dataclass
class Tally:
    written: int = 0
    skipped: int = 0
    overtaken: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    seen: dict[str, Seen] = field(default_factory=dict)
    """Only where `Target.parts` asks for it."""

    def report(self) -> WriteReport:
        return WriteReport(
            written=self.written,
            skipped=self.skipped,
            failed=self.failed,
            overtaken=frozenset(self.overtaken),
            absent=frozenset(self.absent),
            seen=self.seen,
        )


def apply(target: Target, puts: Sequence[IndexedItem], deletes: Sequence[Removal]) -> WriteReport:
    """Raises InvalidVector before anything is sent."""
    vectors = unit_vectors(puts, target.schema.dimensions)
    tally = Tally()
    send(target, _actions(target.schema, puts, vectors, deletes, tally), tally)
    return tally.report()


def send(target: Target, actions: Iterable[Action], tally: Tally) -> None:
    """In requests of bounded size, until each action is in, refused or skipped."""
    with translated(target.name):
        for chunk in _chunks(actions, target.options.chunk_bytes):
            _send(target, chunk, tally)


def _actions(
    schema: IndexSchema,
    puts: Sequence[IndexedItem],
    vectors: Iterable[Vector],
    deletes: Sequence[Removal],
    tally: Tally,
) -> Iterator[Action]:
    for put, vector in zip(puts, vectors, strict=True):
        try:
            filters = check_item(put, schema)
        except ValueError as error:
            tally.failed[put.key] = str(error)
            continue
        if not is_id(put.key):
            tally.failed[put.key] = f"a key has 1 to {LONGEST_KEY} bytes in Elasticsearch"
            continue
        document = {
            KEY: put.key,
            DIGEST: put.digest,
            "text": {name_of(name): encode_terms(text) for name, text in put.terms.items()},
            "exact": {name_of(name): encode_terms(text) for name, text in put.exact.items()},
            STARTS: encode_terms(put.starts),
            BREADTH: len(put.starts.split()),
            "filter": {name_of(name): values for name, values in filters.items()},
            VECTOR: vector_values(vector),
        }
        yield Action(put.key, line(_guarded("index", put.key, put.revision)) + b"\n" + line(document))
    for removal in deletes:
        if is_id(removal.key):
            yield Action(removal.key, line(_guarded("delete", removal.key, removal.revision)))
        else:
            tally.written += 1  # nothing of that key can be in the index


def is_id(key: str) -> bool:
    try:
        return 0 < len(key.encode()) <= LONGEST_KEY
    except UnicodeEncodeError:
        return False


def _guarded(verb: str, key: str, revision: int) -> Mapping[str, Any]:
    return {verb: {"_id": key, "version": revision, "version_type": "external"}}


def line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _chunks(actions: Iterable[Action], most_bytes: int) -> Iterator[list[Action]]:
    """Requests of bounded size; an action that is larger goes alone."""
    chunk: list[Action] = []
    size = 0
    for action in actions:
        if chunk and (size + len(action.payload) > most_bytes or len(chunk) == MAX_ACTIONS):
            yield chunk
            chunk, size = [], 0
        chunk.append(action)
        size += len(action.payload)
    if chunk:
        yield chunk


def _send(target: Target, actions: list[Action], tally: Tally) -> None:
    """Until each action is in, refused or skipped; those that the cluster has no time for come again."""
    for pause in (*_pauses(target.options.retries), None):
        try:
            actions, why = _attempt(target, actions, tally)
        except ApiError as error:
            if error.status_code in _TOO_MUCH:
                return _send_apart(target, actions, tally, error)
            if error.status_code not in BUSY:
                raise failure(error.status_code, error.body, target.name) from error
            why = failure(error.status_code, error.body, target.name)
        if not actions:
            return None
        if pause is None:
            raise BackendUnavailable(
                f"{why} Gave up on {len(actions)} changes after {target.options.retries} retries."
            )
        logger.warning("bulk repeated index=%s actions=%d pause_s=%.1f", target.name, len(actions), pause)
        time.sleep(pause)
    return None


def _pauses(retries: int) -> list[float]:
    return [_FIRST_PAUSE * 2**turn for turn in range(retries)]


def _send_apart(target: Target, actions: list[Action], tally: Tally, error: ApiError) -> None:
    """In halves, down to the one action that the cluster does not take."""
    if len(actions) == 1:
        tally.failed[actions[0].key] = str(failure(error.status_code, error.body, target.name))
        return
    middle = len(actions) // 2
    _send(target, actions[:middle], tally)
    _send(target, actions[middle:], tally)


def _attempt(
    target: Target, actions: list[Action], tally: Tally
) -> tuple[list[Action], BackendUnavailable | NotFound | None]:
    """One request; returns the actions to repeat, and why."""
    client = target.client.options(
        request_timeout=target.options.write_timeout, retry_on_status=(), max_retries=target.options.retries
    )
    payloads: list[Any] = [action.payload for action in actions]  # bytes go out as they are
    answer = client.bulk(
        index=target.alias,
        operations=payloads,
        require_alias=True,
        refresh=target.options.refresh,
        filter_path=list(target.parts),
    )
    busy: list[Action] = []
    why: BackendUnavailable | NotFound | None = None
    for action, item in zip(actions, answer.body["items"], strict=True):
        (outcome,) = item.values()
        status, error = int(outcome["status"]), outcome.get("error")
        if error is None:  # a delete of what is not there has the status 404, and is remembered
            tally.written += 1
            if "_seq_no" in outcome:
                tally.seen[action.key] = Seen(outcome["_index"], outcome["_seq_no"], outcome["_primary_term"])
        elif status == _CONFLICT:
            tally.skipped += 1
            tally.overtaken.add(action.key)
        elif error["type"] == "document_missing_exception":
            tally.absent.add(action.key)
        elif status in BUSY:
            busy.append(action)
            why = failure(status, outcome, target.name)
        elif error["type"] in ("index_not_found_exception", "invalid_index_name_exception"):
            raise NotFound(f"There is no index {target.name!r} in Elasticsearch.")
        else:
            tally.failed[action.key] = _reason(error)
    return busy, why


def _reason(error: Mapping[str, Any]) -> str:
    """What is wrong with an item, and the cause of it."""
    reasons = [str(error.get("reason")).partition(_PREVIEW)[0].strip()]
    while isinstance(error.get("caused_by"), Mapping):
        error = error["caused_by"]
        reasons.append(str(error.get("reason")).partition("The prefix of")[0])
    return ": ".join(reason[:300] for reason in reasons)
