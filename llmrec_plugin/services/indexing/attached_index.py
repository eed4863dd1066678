"""What a site may write along when it writes its own documents: the stored vectors, without encoding."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from django.db import router
from django.db.models import Model

from llmrec_plugin.backends import get_backend
from llmrec_plugin.backends.base import AttachedBackend
from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.models import Embedding, IndexVersion
from llmrec_plugin.services.deployment.engines import schema_of
from llmrec_plugin.services.indexing.batch import active_versions
from llmrec_plugin.services.inference.item_embeddings import describe
from llmrec_plugin.services.items.preparation import Analysed, indexed_item, prepared_items
from llmrec_plugin.types import PreparedItem

logger = logging.getLogger("llmrec_plugin.indexing")

REVISION = 0
"""Below all that are drawn: what is carried along is never newer than a drain."""


def attached_fields(model: type[Model], pks: Iterable[object], *, index: str) -> dict[str, dict[str, Any]]:
    """Fields to add to the documents of these items, by primary key as text.

    `index` is where they are about to be written; it gains the mapping of the fields where it lacks it. An
    item that has no vector yet is left out. The vector of a text that has changed is carried until the drain
    replaces it. Raises nothing: a site's own write never fails for this.
    """
    keys = [str(pk) for pk in pks]
    fields: dict[str, dict[str, Any]] = {}
    for document in registry.for_model(model):
        if document.attached is None or not _is_meant(document.attached.index, index):
            continue
        try:
            _carry(fields, document, keys, index)
        except Exception as error:  # the site's own code may be what fails
            logger.warning("nothing carried document=%s error=%s", document.label, describe(error))
    return fields


def _is_meant(declared: str, index: str) -> bool:
    """The index itself, or the one that `search_index --rebuild --use-alias` fills for it."""
    return index == declared or re.fullmatch(re.escape(declared) + r"-\d{14,}", index) is not None


def _carry(
    fields: dict[str, dict[str, Any]], document: SearchDocument[Any], keys: list[str], index: str
) -> None:
    versions = [version for version in active_versions(document.label) if version.schema.get("attached")]
    if not versions:
        return
    items = prepared_items(document, keys, using=router.db_for_write(document.model))
    for version in versions:
        engine = _engine_in(version, index)
        rows = Embedding.objects.filter(
            document=document.label, encoder_id=version.encoder_id, item_id__in=list(items)
        )
        for row in rows:
            added = _fields(engine, version, items[row.item_id], row)
            fields.setdefault(row.item_id, {}).update(added)


def _engine_in(version: IndexVersion, index: str) -> AttachedBackend:
    """At work in that very index, whichever one the declared name stands for."""
    schema = schema_of(version)
    assert schema.attached is not None  # noqa: S101  (of an attached version)
    engine = get_backend().attached(replace(schema, attached=replace(schema.attached, index=index)))
    engine.make_room(version.name)
    return engine


def _fields(
    engine: AttachedBackend, version: IndexVersion, item: PreparedItem, row: Embedding
) -> Mapping[str, Any]:
    put = indexed_item(item, analysed=Analysed(), version=version, vector=row.as_array(), revision=REVISION)
    if row.fingerprint != item.fingerprint:
        put = replace(put, digest="")  # of no item: whoever looks knows that it is to be replaced
    return engine.attached_fields(version.name, put)
