"""What every engine must do: an engine's own test module inherits BackendContract and gives `backend`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from django.conf import settings
from django.test import override_settings

from llmrec_plugin.backends.base import SearchBackend
from llmrec_plugin.contracts.backend_model import Index
from llmrec_plugin.contracts.backend_searching import SearchingContract
from llmrec_plugin.contracts.backend_words import WordsContract
from llmrec_plugin.contracts.backend_writing import WritingContract

__all__ = ["BackendContract"]


class BackendContract(WritingContract, SearchingContract, WordsContract):
    """Holds an engine to what each must do; a fixture `backend` gives it."""

    tolerance: ClassVar[float] = 1e-5
    """How far a cosine may be off."""

    @pytest.fixture(autouse=True)
    def _own_folder(self, tmp_path: Path) -> Iterator[None]:
        """Keeps the files of an engine apart from the site's."""
        with override_settings(LLMREC={**getattr(settings, "LLMREC", {}), "DATA_DIR": str(tmp_path)}):
            yield

    @pytest.fixture
    def backend(self) -> SearchBackend:
        """The engine under test, such as `SearchBackend({})`; every test makes indexes of its own in it."""
        raise NotImplementedError("Give a fixture `backend` that returns the engine under test.")

    @pytest.fixture
    def index(self, backend: SearchBackend) -> Iterator[Index]:
        index = Index(backend)
        yield index
        backend.drop_index(index.name)
