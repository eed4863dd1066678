"""One document's share of a drained batch: read, embed, store, write, verify.

The stored vectors carry no revision as the indexes do, so they are kept right by two rules of their own:
a drain stores vectors only while it still holds entries of the item, and after the write it looks whether
another drain stored other ones meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import router, transaction

from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.models import IndexVersion, OutboxEntry
from llmrec_plugin.services.deployment import dictionaries
from llmrec_plugin.services.deployment.engines import attached_engine_of, engine_of
from llmrec_plugin.services.indexing import outbox
from llmrec_plugin.services.indexing.outbox import ABSENT, OVERTAKEN
from llmrec_plugin.services.inference import item_embeddings
from llmrec_plugin.services.items.preparation import Analysed, analysed, indexed_item, prepared
from llmrec_plugin.types import Failure, IndexedItem, PreparedItem, Removal, Seen, WriteReport

logger = logging.getLogger("llmrec_plugin.indexing")


@dataclass(kw_only=True)
class Item:
    """All that waits for one item, and what became of it."""

    key: str
    entries: list[OutboxEntry]
    targets: list[IndexVersion] = field(default_factory=list)
    document: PreparedItem | None = None
    """None: to be removed."""
    analysed: dict[str | None, Analysed] = field(default_factory=dict)
    """By the dictionary of the index that it is for."""
    failures: dict[int, Failure] = field(default_factory=dict)
    """Index version -> why it was not written there."""
    seen: dict[int, Seen] = field(default_factory=dict)
    """Attached index version -> the site's document, from before the row was read."""
    lost: bool = False
    """Others took all its entries over, or settled them: theirs is the newer look."""

    @property
    def for_all(self) -> bool:
        return any(entry.index_version_id is None for entry in self.entries)

    @property
    def written(self) -> bool:
        """It reached at least one index."""
        return not self.lost and len(self.failures) < len(self.targets)

    @property
    def is_second_look(self) -> bool:
        """No entry of it tells of a change, or of one that could not be written."""
        return not self.for_all and not any(entry.attempts for entry in self.entries)

    def fail(self, failure: Failure) -> None:
        """It could be written nowhere."""
        self.failures = {version.pk: failure for version in self.targets}


@dataclass(kw_only=True)
class Counts:
    encoded: int = 0
    """Texts that the encoder read."""
    reused: int = 0
    """Items whose vector was at hand."""


def process(label: str, items: Sequence[Item], revision: int) -> Counts:
    """Bring the items of one document up to date; what fails is noted on them, whoever is to blame."""
    _target(label, items)
    wanted = [item for item in items if item.targets]
    if not wanted:
        return Counts()
    try:
        _observe(wanted)
        _read(registry.get(label), wanted)
        return _index(label, [item for item in wanted if len(item.failures) < len(item.targets)], revision)
    except Exception as error:  # whatever the site's code raises: other documents go on
        failure = as_failure(label, error, outage=True)
        for item in wanted:
            item.fail(failure)
        return Counts()


def active_versions(label: str) -> list[IndexVersion]:
    """Every index that has to follow the site: the live one, those kept for rollback, those being built."""
    states = [IndexVersion.State.BUILDING, IndexVersion.State.READY]
    return list(IndexVersion.objects.filter(document=label, state__in=states).order_by("id"))


def _target(label: str, items: Sequence[Item]) -> None:
    """Which indexes each item goes to; those dropped meanwhile are left out."""
    versions = active_versions(label)
    for item in items:
        pinned = {entry.index_version_id for entry in item.entries}
        item.targets = [version for version in versions if item.for_all or version.pk in pinned]


def _observe(items: Sequence[Item]) -> None:
    """Look at the documents of attached indexes before the rows: a write then holds only if the site did
    not write the document in between, which says that the row may have changed, too."""
    for version in {version.pk: version for item in items for version in item.targets}.values():
        engine = attached_engine_of(version)
        if engine is None:
            continue
        concerned = [item for item in items if version in item.targets]
        try:
            found = engine.observe(version.name, [item.key for item in concerned])
        except Exception as error:  # one index must not hold up the others
            failure = as_failure(version.document, error, outage=True)
            for item in concerned:
                item.failures[version.pk] = failure
            continue
        for item in concerned:
            if item.key in found:
                item.seen[version.pk] = found[item.key]


def _read(document: SearchDocument[Any], items: Sequence[Item]) -> None:
    rows = document.in_bulk([item.key for item in items], using=router.db_for_write(document.model))
    for item in items:
        row = rows.get(item.key)
        if row is None:
            continue
        try:
            item.document = prepared(document, row)
        except Exception as error:  # one item's fault is not the others'
            item.fail(as_failure(document.label, error))
    _analyse(document.label, items)


def _analyse(label: str, items: Sequence[Item]) -> None:
    """For the indexes of ours; one of the site's own analyses itself. A dictionary at a time: each takes a
    second to load."""
    ours = [version for item in items for version in item.targets if not version.schema.get("attached")]
    for version in {version.dictionary_id: version for version in ours}.values():
        with dictionaries.of(version):
            for item in items:
                if item.document is None or version.dictionary_id not in _dictionaries(item):
                    continue
                try:
                    item.analysed[version.dictionary_id] = analysed(item.document)
                except Exception as error:  # one item's fault is not the others'
                    item.fail(as_failure(label, error))


def _dictionaries(item: Item) -> set[str | None]:
    return {version.dictionary_id for version in item.targets}


def _index(label: str, items: Sequence[Item], revision: int) -> Counts:
    spaces: dict[str, list[IndexVersion]] = {}
    for version in {version.pk: version for item in items for version in item.targets}.values():
        spaces.setdefault(version.encoder_id, []).append(version)
    embedded = {encoder_id: _embed(versions, items) for encoder_id, versions in spaces.items()}
    mine = _store(label, items, spaces, embedded)
    for encoder_id, versions in spaces.items():
        for version in versions:
            concerned = [item for item in mine if version in item.targets]
            _write(version, concerned, embedded[encoder_id], revision)
        _verify(versions, mine)
    return Counts(
        encoded=sum(found.encoded for found in embedded.values()),
        reused=sum(found.reused for found in embedded.values()),
    )


def _concerned(versions: Sequence[IndexVersion], items: Sequence[Item]) -> list[Item]:
    return [item for item in items if any(version in item.targets for version in versions)]


def _embed(versions: Sequence[IndexVersion], items: Sequence[Item]) -> item_embeddings.Embedded:
    documents = [item.document for item in _concerned(versions, items) if item.document is not None]
    try:
        return item_embeddings.embed(documents, version=versions[0])
    except LlmrecError as error:
        failure = as_failure(versions[0].document, error, outage=True)
        return item_embeddings.Embedded(failures={document.fingerprint: failure for document in documents})


def _store(
    label: str,
    items: Sequence[Item],
    spaces: dict[str, list[IndexVersion]],
    embedded: dict[str, item_embeddings.Embedded],
) -> list[Item]:
    """Save vectors, and delete those of what is gone, for the items that are still ours; returns these."""
    with transaction.atomic(using=outbox.alias()):
        held = outbox.renew([entry for item in items for entry in item.entries])
        for item in items:
            item.lost = not any(entry.pk in held for entry in item.entries)
        mine = [item for item in items if not item.lost]
        item_embeddings.forget(label, [item.key for item in mine if item.document is None])
        for encoder_id, versions in spaces.items():
            documents = [item.document for item in _concerned(versions, mine) if item.document is not None]
            item_embeddings.store(documents, embedded[encoder_id].vectors, version=versions[0])
    return mine


def _write(
    version: IndexVersion, items: Sequence[Item], embedded: item_embeddings.Embedded, revision: int
) -> None:
    """Write to one index; what it does not take is noted on the items."""
    puts, deletes = _changes(version, items, embedded, revision)
    attempted = [item for item in items if version.pk not in item.failures]
    if not attempted:
        return
    try:
        report = engine_of(version).write(version.name, puts, deletes)
    except Exception as error:  # one index must not hold up the others
        if not IndexVersion.objects.filter(pk=version.pk, state=IndexVersion.State.DROPPED).exists():
            failure = as_failure(version.document, error, outage=True)
            for item in attempted:
                item.failures[version.pk] = failure
        return
    for item in attempted:
        reason = _outcome(item.key, report)
        if reason is not None:
            item.failures[version.pk] = reason
        if item.key in report.seen:
            _see(item, report.seen[item.key])


def _outcome(key: str, report: WriteReport) -> Failure | None:
    if key in report.failed:
        return Failure(report.failed[key])
    if key in report.absent:
        return ABSENT
    if report.skipped and (key in report.overtaken or not report.overtaken):
        return OVERTAKEN
    return None


def _see(item: Item, written: Seen) -> None:
    """Versions in the same document follow each other: what one wrote must not refuse the next."""
    for version, seen in item.seen.items():
        if seen.physical == written.physical:
            item.seen[version] = written._replace(digest=seen.digest)


def _changes(
    version: IndexVersion, items: Sequence[Item], embedded: item_embeddings.Embedded, revision: int
) -> tuple[list[IndexedItem], list[Removal]]:
    puts: list[IndexedItem] = []
    deletes: list[Removal] = []
    for item in items:
        document, seen = item.document, item.seen.get(version.pk)
        if version.pk in item.failures:
            continue
        if document is None:
            deletes.append(Removal(key=item.key, revision=revision, seen=seen))
        elif document.fingerprint in embedded.vectors:
            vector = embedded.vectors[document.fingerprint]
            put = indexed_item(
                document,
                analysed=item.analysed.get(version.dictionary_id, Analysed()),
                version=version,
                vector=vector,
                revision=revision,
                seen=seen,
            )
            if not (item.is_second_look and seen is not None and seen.digest == put.digest):
                puts.append(put)
        else:
            item.failures[version.pk] = embedded.failures[document.fingerprint]
    return puts, deletes


def _verify(versions: Sequence[IndexVersion], items: Sequence[Item]) -> None:
    """Look again at items whose stored vector is not the one that went into the index."""
    items = _concerned(versions, items)
    stored = item_embeddings.stored_fingerprints(versions[0], [item.key for item in items])
    for item in items:
        expected = item.document.fingerprint if item.document is not None else None
        if stored.get(item.key) == expected:
            continue
        for version in versions:
            if version in item.targets:
                item.failures.setdefault(version.pk, OVERTAKEN)


def as_failure(label: str, error: Exception, *, outage: bool = False) -> Failure:
    logger.warning("indexing failed document=%s error=%s", label, type(error).__name__)
    return Failure(item_embeddings.describe(error), outage=outage)
