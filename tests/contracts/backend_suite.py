"""What every engine must do: an engine's own test module inherits BackendContract and gives `backend`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llmrec_plugin.backends.base import SearchBackend
from tests.contracts.backend_model import Index
from tests.contracts.backend_searching import SearchingContract
from tests.contracts.backend_words import WordsContract
from tests.contracts.backend_writing import WritingContract


class BackendContract(WritingContract, SearchingContract, WordsContract):
    tolerance = 1e-5
    """How far a cosine may be off."""

    @pytest.fixture
    def backend(self) -> SearchBackend:
        raise NotImplementedError("give the engine under test")

    @pytest.fixture
    def index(self, backend: SearchBackend) -> Iterator[Index]:
        index = Index(backend)
        yield index
        backend.drop_index(index.name)
