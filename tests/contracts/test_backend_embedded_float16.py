from __future__ import annotations

import pytest

from llmrec_plugin.backends.embedded import SearchBackend
from tests.contracts.backend_suite import BackendContract


class TestEmbeddedFloat16Backend(BackendContract):
    tolerance = 1e-4

    @pytest.fixture
    def backend(self) -> SearchBackend:
        return SearchBackend({"dtype": "float16"})
