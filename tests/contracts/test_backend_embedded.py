from __future__ import annotations

import pytest

from llmrec_plugin.backends.embedded import SearchBackend
from tests.contracts.backend_suite import BackendContract


class TestEmbeddedBackend(BackendContract):
    @pytest.fixture
    def backend(self) -> SearchBackend:
        return SearchBackend({})
