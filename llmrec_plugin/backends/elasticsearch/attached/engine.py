"""The engine inside an index of the site's own: one object field per index version, set by partial updates.

What the site may do at any time, and what becomes of it here (docs/adr/0011):

- It writes a document anew, and our field is gone: a write that was under way is refused, since it is bound
  to the sequence number from before its row was read; a second look, `unfilled` and `digests` find the gap.
- It deletes an index and makes it again: writes go through an alias of the physical index that only
  `create_index` sets, so that no late write makes Elasticsearch guess a mapping in the site's place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from elasticsearch import Elasticsearch

from llmrec_plugin.backends import base
from llmrec_plugin.backends.elasticsearch.attached import mapping
from llmrec_plugin.backends.elasticsearch.attached.queries import Fields, filled_body, unfilled_body
from llmrec_plugin.backends.elasticsearch.attached.search import Place, answer, suggestions
from llmrec_plugin.backends.elasticsearch.bulk_write import Action, Tally, Target, is_id, line, send
from llmrec_plugin.backends.elasticsearch.client import Connection, translated
from llmrec_plugin.backends.elasticsearch.options import Options
from llmrec_plugin.backends.elasticsearch.queries import vector_values
from llmrec_plugin.backends.elasticsearch.scan import walk
from llmrec_plugin.backends.validation import check_name, check_query, unit_vectors
from llmrec_plugin.exceptions import NotFound
from llmrec_plugin.types import (
    AttachedIndex,
    EngineQuery,
    EngineResult,
    IndexedItem,
    IndexSchema,
    Removal,
    Seen,
    WriteReport,
)

_ALIAS_SUFFIX = "@Llmrec"
"""An index cannot be called so, for its capital."""
_PARTS = (
    "items.*.status",
    "items.*._index",
    "items.*._seq_no",
    "items.*._primary_term",
    "items.*.error.type",
    "items.*.error.reason",
    "items.*.error.caused_by",
)
_OBSERVED = 1_000
"""Documents per request."""
_CLEARED = 500
_CLEARING_ROUNDS = 3
"""Documents that the site writes meanwhile are met again in the next."""


class AttachedBackend(base.AttachedBackend):
    """Made per call and cheap; all state is in the connection."""

    def __init__(
        self, schema: IndexSchema, options: Options, connection: Connection, *, check: Callable[[], None]
    ) -> None:
        super().__init__({})
        assert schema.attached is not None  # noqa: S101  (who makes it has looked)
        self._schema = schema
        self._site: AttachedIndex = schema.attached
        self._settings = options
        self._connection = connection
        self._check = check

    def create_index(self, name: str, schema: IndexSchema) -> None:
        """Give the site's index the field of this version, and the alias that writes go through; raises
        NotFound if the site has no such index, ConfigurationError if nothing can be added to it."""
        self._add(name, self._patient())

    def make_room(self, name: str) -> None:
        with self._connection.while_visitors_wait():
            self._add(name, self._connection.client)

    def _add(self, name: str, client: Elasticsearch) -> None:
        check_name(name)
        with translated(name):
            found = mapping.read(client, self._site.index)
            mapping.add(client, found, self._fields(name), self._settings, suffix=_ALIAS_SUFFIX)

    def check_declaration(self) -> None:
        """Not at each `create_index`: fields that the site's index maps dynamically come with its first
        document."""
        client = self._patient()
        with translated(self._site.index):
            mapping.check_fields(client, mapping.read(client, self._site.index).physical, self._schema)

    def drop_index(self, name: str) -> None:
        """Empty the field in all documents; a field cannot be removed from a mapping."""
        fields = self._fields(name)
        for _ in range(_CLEARING_ROUNDS):
            try:
                if not self._clear(name, fields):
                    return
            except NotFound:  # the site's index is gone, or was made anew without our field
                return

    def _clear(self, name: str, fields: Fields) -> int:
        body = {**filled_body(fields), "seq_no_primary_term": True}
        hits = walk(self._patient(), self._site.index, body, name=name)
        cleared = 0
        while batch := list(islice(hits, _CLEARED)):
            tally = Tally()
            seen = ((hit["_id"], Seen(hit["_index"], hit["_seq_no"], hit["_primary_term"])) for hit in batch)
            self._send(name, ((one, _update(key, key, one, {fields.own: None})) for key, one in seen), tally)
            cleared += len(batch)
        self.refresh(name)
        return cleared

    def index_names(self) -> list[str]:
        """None of the indexes here is ours."""
        return []

    def write(self, name: str, puts: Sequence[IndexedItem], deletes: Sequence[Removal] = ()) -> WriteReport:
        vectors = unit_vectors(puts, self._schema.dimensions)
        own = self._fields(name).own
        actions = [
            (put.seen, self._update(put.key, put.seen, {own: _content(put, vector_values(vector))}))
            for put, vector in zip(puts, vectors, strict=True)
            if put.seen is not None
        ]
        actions += [
            (removal.seen, self._update(removal.key, removal.seen, {own: None}))
            for removal in deletes
            if removal.seen is not None and removal.seen.digest
        ]
        tally = Tally()
        try:
            self._send(name, actions, tally)
        except NotFound:  # the site made its index anew: nothing that was seen before is written to it
            self.create_index(name, self._schema)
            tally = Tally(overtaken={action.key for _, action in actions})
            tally.skipped = len(tally.overtaken)
        return _report(tally, puts, deletes)

    def _send(self, name: str, actions: Iterable[tuple[Seen, Action]], tally: Tally) -> None:
        """To the physical indexes that the documents were seen in."""
        by_index: dict[str, list[Action]] = {}
        for seen, action in actions:
            by_index.setdefault(seen.physical, []).append(action)
        for physical, group in by_index.items():
            target = Target(
                client=self._connection.client,
                name=name,
                alias=physical + _ALIAS_SUFFIX,
                schema=self._schema,
                options=self._settings,
                parts=_PARTS,
            )
            send(target, group, tally)

    def observe(self, name: str, keys: Sequence[str]) -> dict[str, Seen]:
        digest = self._fields(name).digest
        ids = {self._site.id(key): key for key in keys}
        seen: dict[str, Seen] = {}
        remaining = filter(is_id, ids)
        while batch := list(islice(remaining, _OBSERVED)):
            with translated(self._site.index):
                answer = self._patient().mget(index=self._site.index, ids=batch, source_includes=[digest])
                for found in answer["docs"]:
                    if found.get("found"):
                        seen[ids[found["_id"]]] = _seen(found, digest)
        return seen

    def attached_fields(self, name: str, put: IndexedItem) -> dict[str, Any]:
        (vector,) = unit_vectors([put], self._schema.dimensions)
        return {self._fields(name).own: _content(put, vector_values(vector))}

    def search(self, name: str, query: EngineQuery) -> EngineResult:
        with self._connection.while_visitors_wait(), translated(name):
            return answer(self._place(name), check_query(query, self._schema))

    def suggest(self, name: str, starts: Sequence[str], *, limit: int, fuzzy: bool = False) -> list[str]:
        """By the site's analysers: the first text field holds the words, the last one as far as typed."""
        with self._connection.while_visitors_wait(), translated(name):
            return suggestions(self._place(name), starts, limit, fuzzy=fuzzy)

    def _place(self, name: str) -> Place:
        return Place(
            client=self._connection.client,
            name=self._site.index,
            physical=self._site.index,
            fields=self._fields(name),
            rescored=self._settings.rescored,
        )

    def count(self, name: str) -> int:
        with translated(self._site.index):
            query = {"exists": {"field": self._fields(name).key}}
            return int(self._connection.client.count(index=self._site.index, query=query)["count"])

    def digests(self, name: str) -> Iterator[tuple[str, str]]:
        """As of the call, writes included that no search has seen yet."""
        fields = self._fields(name)
        self.refresh(name)
        body = {**filled_body(fields), "docvalue_fields": [fields.key, fields.digest]}
        for hit in walk(self._patient(), self._site.index, body, name=self._site.index):
            known = hit.get("fields", {})
            if fields.key in known:  # the site may have written something of its own there
                yield known[fields.key][0], known.get(fields.digest, [""])[0]

    def unfilled(self, name: str) -> Iterator[str]:
        """As of the call, or what was just refilled would be taken for lost."""
        self.refresh(name)
        body = unfilled_body(self._fields(name))
        for hit in walk(self._patient(), self._site.index, body, name=self._site.index):
            key = self._site.key(hit["_id"])
            if key is not None:
                yield key

    def refresh(self, name: str) -> None:
        with translated(self._site.index):
            self._patient().indices.refresh(index=self._site.index)

    def check(self) -> None:
        self._check()

    def _patient(self) -> Elasticsearch:
        """The client for what may take longer than a visitor waits."""
        return self._connection.client.options(request_timeout=self._settings.write_timeout)

    def _update(self, key: str, seen: Seen, content: Mapping[str, Any]) -> Action:
        return _update(key, self._site.id(key), seen, content)

    def _fields(self, name: str) -> Fields:
        """Dots would mean something in the name of a field."""
        return Fields(own=name.replace(".", "_").replace("-", "_"), schema=self._schema)


def _content(put: IndexedItem, vector: list[float]) -> dict[str, Any]:
    return {"key": put.key, "digest": put.digest, "revision": put.revision, "vector": vector}


def _report(tally: Tally, puts: Sequence[IndexedItem], deletes: Sequence[Removal]) -> WriteReport:
    """What is not there need not be removed, but it should be put."""
    gone = {removal.key for removal in deletes if removal.seen is None or not removal.seen.digest}
    gone |= {removal.key for removal in deletes} & tally.absent
    tally.written += len(gone)
    tally.absent = (tally.absent - gone) | {put.key for put in puts if put.seen is None}
    return tally.report()


def _update(key: str, identifier: str, seen: Seen, content: Mapping[str, Any]) -> Action:
    """Refused unless the document is the one that was seen."""
    guarded = {"_id": identifier, "if_seq_no": seen.seq_no, "if_primary_term": seen.primary_term}
    return Action(key, line({"update": guarded}) + b"\n" + line({"doc": content}))


def _seen(found: Mapping[str, Any], digest: str) -> Seen:
    kept: Any = found.get("_source", {})
    for part in digest.split("."):
        kept = kept.get(part) if isinstance(kept, Mapping) else None
    return Seen(found["_index"], found["_seq_no"], found["_primary_term"], str(kept or ""))
