"""One item as one index version holds it: the same for writing and for comparing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from django.conf import settings
from django.db.models import Model
from django.utils import translation

from llmrec_plugin.analysis.exact import exact_terms, title_starts
from llmrec_plugin.analysis.tokens import analysis_id, index_terms
from llmrec_plugin.documents import ImportedItemDocument, SearchDocument
from llmrec_plugin.exceptions import DocumentError
from llmrec_plugin.models import IndexVersion
from llmrec_plugin.services.coordination import site_code
from llmrec_plugin.types import IndexedItem, PreparedItem, Seen, Vector

SAMPLE_RUNS = 8
ANALYSED_BY_THE_SITE = "site"
_OUR_OWN = (SearchDocument.prepare, ImportedItemDocument.prepare)


def analysis_of(document: SearchDocument[Any]) -> str:
    """Identity of the text analysis of its index; an attached one is analysed by the site."""
    return analysis_id() if document.attached is None else ANALYSED_BY_THE_SITE


def declared_schema(document: SearchDocument[Any]) -> dict[str, Any]:
    """What an index version made now would hold, as `IndexVersion.schema` keeps it."""
    schema = {"text_fields": list(document.schema_fields()), "filters": document.filter_kinds()}
    return schema if document.attached is None else {**schema, "attached": document.attached.index}


def prepared(document: SearchDocument[Any], row: Model) -> PreparedItem | None:
    """What the site's declaration makes of the row, in the site's own language whoever asks; None: not to be
    found, as an item without any text."""
    with translation.override(settings.LANGUAGE_CODE):
        found = document.prepare(row)
    if found is None or not found.passage.strip():
        return None
    if found.key != str(row.pk):
        raise DocumentError(
            f'{type(document).__name__}.prepare() gave the key "{found.key}" to the item "{row.pk}": '
            "the key must be the primary key as text."
        )
    return found


def prepared_if_it_can_be(document: SearchDocument[Any], row: Model) -> PreparedItem | None:
    """As `prepared`; None as well where the site's own code fails. The drain, which parks the item, says what
    is wrong with it."""
    return site_code.call(part_of(document), lambda: prepared(document, row), otherwise=None)


def part_of(document: SearchDocument[Any]) -> str:
    """What the code of a declaration is called where it fails."""
    return f"document {document.label}"


def decides_who_is_shown(document: SearchDocument[Any]) -> bool:
    """Whether the site has a `prepare` of its own, which may say of a row that it is not to be found."""
    return type(document).prepare not in _OUR_OWN


def readable(document: SearchDocument[Any], row: Model) -> PreparedItem | None:
    """As `prepared`, for showing or reading the item: without its filter values, which may take queries,
    unless the site prepares it in its own way."""
    if decides_who_is_shown(document):
        return prepared(document, row)
    return document.texts_of(row)


def passages(document: SearchDocument[Any], keys: Sequence[str]) -> dict[str, str]:
    """By key, what the encoder reads of the items as they stand in their rows now; one query."""
    part, found = part_of(document), {}
    for key, row in document.in_bulk(keys).items():
        item = site_code.call(part, partial(readable, document, row), otherwise=None)
        if item is not None:
            found[key] = item.passage
    return found


def prepared_items(
    document: SearchDocument[Any], keys: Sequence[str], *, using: str | None = None
) -> dict[str, PreparedItem]:
    """By key, the items that can be found as they stand in their rows now; one query."""
    rows = document.in_bulk(keys, using=using)
    return {key: found for key, row in rows.items() if (found := prepared_if_it_can_be(document, row))}


def projected(document: PreparedItem, *, version: IndexVersion) -> PreparedItem:
    """The document cut to the fields of that index: an older one lacks new fields, old ones stay empty."""
    filters = {name: document.filters.get(name) for name in version.schema["filters"]}
    text = {name: document.text.get(name, "") for name in version.schema["text_fields"]}
    return replace(document, text=text, filters=filters)


@dataclass(frozen=True, kw_only=True)
class Analysed:
    """What an index of our own holds of the texts of one item, terms joined by one space."""

    terms: Mapping[str, str] = field(default_factory=dict)
    """By text field; so is `exact`."""
    exact: Mapping[str, str] = field(default_factory=dict)
    starts: str = ""


def analysed(document: PreparedItem) -> Analysed:
    texts = document.text.items()
    return Analysed(
        terms={name: " ".join(index_terms(text, document.language)) for name, text in texts},
        exact={name: " ".join(exact_terms(text)) for name, text in texts},
        starts=" ".join(title_starts(document.title)),
    )


def indexed_item(
    document: PreparedItem,
    *,
    analysed: Analysed,
    version: IndexVersion,
    vector: Vector,
    revision: int,
    seen: Seen | None = None,
) -> IndexedItem:
    """The document as that index stores it."""
    shown = projected(document, version=version)
    return IndexedItem(
        key=shown.key,
        terms={name: analysed.terms.get(name, "") for name in shown.text},
        exact={name: analysed.exact.get(name, "") for name in shown.text},
        starts=analysed.starts,
        filters=shown.filters,
        vector=vector,
        digest=shown.digest,
        revision=revision,
        seen=seen,
    )


def sample(document: SearchDocument[Any], size: int) -> list[PreparedItem]:
    """Up to `size` items in runs spread evenly over the primary keys, the same on every call."""
    rows = document.get_queryset().order_by("pk")
    run = max(1, size // SAMPLE_RUNS)
    step = max(run, rows.count() // SAMPLE_RUNS)
    found = []
    for start in range(0, step * SAMPLE_RUNS, step):
        for row in rows[start : start + run]:
            with suppress(Exception):  # an item whose preparation fails is no part of the sample
                found.append(prepared(document, row))
    return [item for item in found if item is not None]
