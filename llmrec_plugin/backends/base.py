"""What a search engine must do for us; one conformance suite (tests/contracts) holds all to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmrec_plugin.types import (
    EngineQuery,
    EngineResult,
    IndexedDocument,
    IndexSchema,
    Removal,
    Vector,
    WriteReport,
)


class SearchBackend(ABC):
    """An engine holding named indexes; its module exports it as `SearchBackend`.

    Every method raises BackendUnavailable when the engine does not answer and NotFound for an
    unknown index. Instances are shared by threads and survive a fork.
    """

    supports_vector_reads = False
    """`vectors` is cheap here; otherwise callers read the embeddings table."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    @abstractmethod
    def create_index(self, name: str, schema: IndexSchema) -> None:
        """Make the index; nothing to do if it exists with the same schema, else IndexConflict."""

    @abstractmethod
    def drop_index(self, name: str) -> None:
        """Remove the index and all it holds; nothing to do if there is none."""

    @abstractmethod
    def index_names(self) -> list[str]:
        """Names of the indexes that this app made, sorted."""

    @abstractmethod
    def write(
        self, name: str, puts: Sequence[IndexedDocument], deletes: Sequence[Removal] = ()
    ) -> WriteReport:
        """Apply each change whose revision is greater than what the index has seen for its key,
        deletes included: a late put never resurrects what a newer delete removed.
        Raises InvalidVector if a vector is zero, non-finite or of other dimensions; then nothing is
        written."""

    @abstractmethod
    def search(self, name: str, query: EngineQuery) -> EngineResult:
        """Answer in one round trip; filters hold exactly in both legs."""

    @abstractmethod
    def count(self, name: str) -> int:
        """Items that can be found."""

    @abstractmethod
    def digests(self, name: str) -> Iterator[tuple[str, str]]:
        """(key, digest) of every item, in no promised order, in bounded memory."""

    def vectors(self, name: str, keys: Sequence[str]) -> dict[str, Vector]:
        """Vectors of those keys that the index holds."""
        raise NotImplementedError(f"{type(self).__name__} does not read vectors back")

    @abstractmethod
    def refresh(self, name: str) -> None:
        """Return once all earlier writes are visible to searches of this and other processes."""

    @abstractmethod
    def check(self) -> None:
        """Raise BackendUnavailable, saying why, unless the engine can be used now."""
