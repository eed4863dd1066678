"""What a search engine must do for us; one suite (llmrec_plugin.contracts.backends) holds all to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.options import OptionsT, keys_of, read_options
from llmrec_plugin.types import (
    EngineQuery,
    EngineResult,
    IndexedItem,
    IndexSchema,
    Removal,
    Seen,
    Vector,
    WriteReport,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class SearchBackend(ABC):
    """An engine holding named indexes; its module exports it as `SearchBackend`.

    Every method raises BackendUnavailable when the engine does not answer and NotFound for an
    unknown index. Instances are shared by threads and survive a fork.
    """

    supports_vector_reads = False
    """`vectors` is cheap here; otherwise callers read the embeddings table."""

    options_kind: ClassVar[type[DataclassInstance] | None] = None
    """The dataclass that `read` makes of LLMREC["BACKEND_OPTIONS"], for `manage.py check` to hold them to.
    None: what is wrong with them is told by the first use."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    def read(self, kind: type[OptionsT]) -> OptionsT:
        """Return LLMREC["BACKEND_OPTIONS"] as the engine's own dataclass; raises ConfigurationError that
        names an option that is unknown or wrong."""
        return self._read(kind, self.options)

    @classmethod
    def check_options(cls, options: Mapping[str, Any]) -> None:
        """Raise ConfigurationError as `read` does, without making an engine."""
        if cls.options_kind is not None:
            cls._read(cls.options_kind, options)

    @classmethod
    def _read(cls, kind: type[OptionsT], options: Mapping[str, Any]) -> OptionsT:
        engine = cls.__module__.removesuffix(".engine")
        return read_options(kind, options, keys_of('LLMREC["BACKEND_OPTIONS"]'), of=engine)

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
    def write(self, name: str, puts: Sequence[IndexedItem], deletes: Sequence[Removal] = ()) -> WriteReport:
        """Apply each change whose revision is greater than what the index has seen for its key,
        deletes included: a late put never resurrects what a newer delete removed.
        Raises InvalidVector if a vector is zero, non-finite or of other dimensions; then nothing is
        written."""

    @abstractmethod
    def search(self, name: str, query: EngineQuery) -> EngineResult:
        """Answer in one round trip; filters hold exactly in both legs."""

    @abstractmethod
    def suggest(self, name: str, starts: Sequence[str], *, limit: int, fuzzy: bool = False) -> list[str]:
        """Keys of items of which each of `starts` begins some of the `starts` they were written with, those
        with the fewest of these first, then by key; no starts: nothing. With `fuzzy` a start may also be
        nearly, or the beginning of, a whole one: of 4 letters and more one letter may be wrong, of 8 and
        more two, the first never."""

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

    def verify(self, name: str) -> None:
        """Raise NotFound where the index is gone, IndexDamaged or IndexConflict where what is there cannot
        be read as ours; quick enough to be asked every minute."""
        self.search(name, EngineQuery(limit=1))

    @abstractmethod
    def check(self) -> None:
        """Raise BackendUnavailable, saying why, unless the engine can be used now."""

    def attached(self, schema: IndexSchema) -> AttachedBackend:
        """The engine at work inside `schema.attached`, an index of the site's own."""
        raise ConfigurationError(
            f'{schema.attached} cannot be attached to with LLMREC["BACKEND"] = {type(self).__module__!r}: '
            'set it to "llmrec_plugin.backends.elasticsearch".'
        )


class AttachedBackend(SearchBackend):
    """The same verbs inside one index that the site owns, for one schema.

    "Index" means what one index version keeps there beside the site's own fields. The site's documents are
    never made, deleted or given other values; the site may replace or delete them and the whole index at
    any time, and nothing asks it not to.
    """

    @abstractmethod
    def check_declaration(self) -> None:
        """Raises ConfigurationError for a declared field that the site's index does not have, or not in a
        usable type, NotFound where there is no index."""

    @abstractmethod
    def observe(self, name: str, keys: Sequence[str]) -> dict[str, Seen]:
        """Those of the site's documents that there are now. Asked for before the rows are read: what is
        written later is refused if anybody wrote the document in between."""

    @abstractmethod
    def unfilled(self, name: str) -> Iterator[str]:
        """Keys of the site's documents that hold nothing of this index, in bounded memory."""

    @abstractmethod
    def make_room(self, name: str) -> None:
        """As `create_index`, while the site itself is about to write: takes no longer than a search may."""

    @abstractmethod
    def attached_fields(self, name: str, put: IndexedItem) -> dict[str, Any]:
        """The fields that `write` would set, for a site that writes them along with its own."""
