"""The Elasticsearch engine's face: one method per verb of the contract."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from elasticsearch import BadRequestError, Elasticsearch

from llmrec_plugin.backends import base
from llmrec_plugin.backends.elasticsearch.attached.engine import AttachedBackend
from llmrec_plugin.backends.elasticsearch.bulk_write import Target, apply
from llmrec_plugin.backends.elasticsearch.client import Connection, translated
from llmrec_plugin.backends.elasticsearch.mapping import DIGEST, KEY, index_body, read_schema
from llmrec_plugin.backends.elasticsearch.options import Options
from llmrec_plugin.backends.elasticsearch.queries import digest_body
from llmrec_plugin.backends.elasticsearch.scan import walk
from llmrec_plugin.backends.elasticsearch.search import Index, answer, suggestions
from llmrec_plugin.backends.elasticsearch.terms import Samples
from llmrec_plugin.backends.validation import check_name, check_query
from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import BackendUnavailable, IndexConflict, NotFound
from llmrec_plugin.types import EngineQuery, EngineResult, IndexedItem, IndexSchema, Removal, WriteReport

logger = logging.getLogger("llmrec_plugin.backends.elasticsearch")

MIN_SERVER = (8, 19)

_ALIAS_SUFFIX = "@Write"
"""Of the alias that writes go through. An index cannot be called so, for its capital, hence a write to an
index that is gone fails where Elasticsearch would have made one."""
_TOMBSTONE_SECONDS = 3_600
_LEASES_OUTLIVED = 4


class SearchBackend(base.SearchBackend):
    """Options: those that LLMREC["BACKEND_OPTIONS"] names in the reference of settings."""

    options_kind = Options

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        settings = get_settings()
        self._settings = self.read(Options)
        self._connection = Connection(self._settings)
        self._prefix = settings.INDEX_PREFIX.lower()
        # A delete must be remembered for longer than a drain that saw the item before can still be at work.
        self._tombstone_seconds = max(_TOMBSTONE_SECONDS, _LEASES_OUTLIVED * settings.LIMITS.lease_seconds)
        self._schemas: dict[str, IndexSchema] = {}
        self._samples = Samples()

    def create_index(self, name: str, schema: IndexSchema) -> None:
        check_name(name)
        body = index_body(
            schema, self._settings, alias=name + _ALIAS_SUFFIX, tombstone_seconds=self._tombstone_seconds
        )
        client = self._patient()
        self._forget(name)
        with translated(name):
            try:
                client.indices.create(index=name, **body)
            except BadRequestError as error:
                if error.error != "resource_already_exists_exception":
                    raise
        found = self._read_schema(name)
        if found != schema:
            raise IndexConflict(f"An index {name!r} exists with another schema: {found} instead of {schema}.")
        self._point_alias(name)

    def _point_alias(self, name: str) -> None:
        """Have the alias that writes go through; raises NotFound where there is no index."""
        with translated(name):
            self._patient().indices.put_alias(index=name, name=name + _ALIAS_SUFFIX, is_write_index=True)

    def verify(self, name: str) -> None:
        check_name(name)
        self._forget(name)
        super().verify(name)

    def drop_index(self, name: str) -> None:
        check_name(name)
        with translated(name):
            self._patient().options(ignore_status=404).indices.delete(index=name)
        self._forget(name)

    def index_names(self) -> list[str]:
        """Those whose first part is LLMREC["INDEX_PREFIX"]: other sites may share the cluster."""
        pattern = f"{self._prefix}-*{_ALIAS_SUFFIX}"
        with translated():
            found = self._connection.client.options(ignore_status=404).indices.get_alias(name=pattern)
            names = [
                name
                for name, about in found.body.items()
                if isinstance(about, Mapping) and "aliases" in about
            ]
        return sorted(names)

    def write(self, name: str, puts: Sequence[IndexedItem], deletes: Sequence[Removal] = ()) -> WriteReport:
        with self._known(name) as schema:
            target = Target(
                client=self._connection.client,
                name=name,
                alias=name + _ALIAS_SUFFIX,
                schema=schema,
                options=self._settings,
            )
            try:
                return apply(target, puts, deletes)
            except NotFound:  # unless only the alias is, as after a restore without it
                self._point_alias(name)
                return apply(target, puts, deletes)

    def search(self, name: str, query: EngineQuery) -> EngineResult:
        with self._connection.while_visitors_wait(), self._known(name) as schema, translated(name):
            return answer(self._index(name, schema), check_query(query, schema))

    def suggest(self, name: str, starts: Sequence[str], *, limit: int, fuzzy: bool = False) -> list[str]:
        with self._connection.while_visitors_wait(), self._known(name) as schema, translated(name):
            return suggestions(self._index(name, schema), starts, limit, fuzzy=fuzzy)

    def count(self, name: str) -> int:
        check_name(name)
        with translated(name):
            return int(self._connection.client.count(index=name)["count"])

    def digests(self, name: str) -> Iterator[tuple[str, str]]:
        """As of the call, writes included that no search has seen yet. A document that somebody else put
        there counts as an item of its id, which is no item's or another than it should be."""
        self.refresh(name)
        for hit in walk(self._patient(), name, digest_body(), name=name):
            fields = hit.get("fields", {})
            ours = fields.get(KEY) == [hit["_id"]]
            yield hit["_id"], fields.get(DIGEST, [""])[0] if ours else ""

    def refresh(self, name: str) -> None:
        check_name(name)
        with translated(name):
            self._patient().indices.refresh(index=name)

    def check(self) -> None:
        client = self._connection.client
        with translated():
            nodes = client.nodes.info(metric="os", filter_path="nodes.*.version")
            health = client.cluster.health(index=f"{self._prefix}-*")
            _check_versions([node["version"] for node in nodes.get("nodes", {}).values()])
            if health["status"] == "red":
                raise BackendUnavailable(
                    f"Elasticsearch misses {health['unassigned_primary_shards']} primary shards of the "
                    f"indexes {self._prefix}-*: see GET _cluster/allocation/explain."
                )

    def attached(self, schema: IndexSchema) -> AttachedBackend:
        return AttachedBackend(schema, self._settings, self._connection, check=self.check)

    def _patient(self) -> Elasticsearch:
        """The client for what may take longer than a visitor waits."""
        return self._connection.client.options(request_timeout=self._settings.write_timeout)

    def _index(self, name: str, schema: IndexSchema) -> Index:
        return Index(
            client=self._connection.client,
            name=name,
            schema=schema,
            rescored=self._settings.rescored,
            samples=self._samples,
        )

    @contextmanager
    def _known(self, name: str) -> Iterator[IndexSchema]:
        """The index's schema, read once; whatever goes wrong, it is read anew the next time."""
        check_name(name)
        schema = self._schemas.get(name)
        if schema is None:
            schema = self._schemas[name] = self._read_schema(name)
        try:
            yield schema
        except (NotFound, BackendUnavailable):
            self._forget(name)
            raise

    def _read_schema(self, name: str) -> IndexSchema:
        with translated(name):
            found = self._connection.client.indices.get_mapping(index=name)
            (about,) = found.body.values()
            return read_schema(name, about["mappings"])

    def _forget(self, name: str) -> None:
        self._schemas.pop(name, None)
        self._samples.forget(name)


def _check_versions(versions: Sequence[str]) -> None:
    for version in versions:
        if tuple(int(part) for part in version.split(".")[:2]) < MIN_SERVER:
            raise BackendUnavailable(
                f"A node of the cluster runs Elasticsearch {version}; this engine needs "
                f"{'.'.join(map(str, MIN_SERVER))} or newer on all of them."
            )
