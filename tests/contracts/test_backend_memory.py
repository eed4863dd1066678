from __future__ import annotations

import pytest

from llmrec_plugin.backends.memory import SearchBackend
from llmrec_plugin.contracts.backends import BackendContract


class TestMemoryBackend(BackendContract):
    @pytest.fixture
    def backend(self) -> SearchBackend:
        return SearchBackend({})
