"""Keeps the site's own words with each index that was cut by them.

Queries, highlights and writes use those of the index that they are about, whatever LLMREC["DICTIONARY"] says
by now and in whichever process: a word that only one side knows as one would not be found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llmrec_plugin.analysis import tokens
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.models import Dictionary, IndexVersion
from llmrec_plugin.services.coordination import caches

_contents: caches.LatestUsed[str, str] = caches.LatestUsed(4)
"""By hash, which a content never changes."""


def kept(document: SearchDocument[Any]) -> Dictionary | None:
    """Return the dictionary of today as a row, for an index that is cut by it; None where there is none."""
    content = tokens.dictionary() if document.attached is None else ""
    if not content:
        return None
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    return Dictionary.objects.update_or_create(sha256=sha256, defaults={"content": content})[0]


@contextmanager
def of(version: IndexVersion | None) -> Iterator[None]:
    """Cut texts within it as those of that index are. None, or an index of the site's own: as the
    settings say. One query for a dictionary that this process has not used yet."""
    with tokens.cut_by(None if version is None else words_of(version)):
        yield


def words_of(version: IndexVersion) -> str | None:
    """Return the words as `tokens.cut_by` takes them; a query as of `of`."""
    return None if version.schema.get("attached") else _content(version.dictionary_id)


def _content(sha256: str | None) -> str:
    if sha256 is None:
        return ""
    content = _contents.get(sha256)
    if content is None:
        content = Dictionary.objects.get(pk=sha256).content
        _contents.put(sha256, content)
    return content
