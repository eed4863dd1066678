from __future__ import annotations

import pytest

from llmrec_plugin.backends.embedded import SearchBackend
from llmrec_plugin.contracts.backends import BackendContract


class TestEmbeddedBackend(BackendContract):
    @pytest.fixture
    def backend(self) -> SearchBackend:
        return SearchBackend({})
