from __future__ import annotations

import pytest

from llmrec_plugin.backends.embedded import SearchBackend
from llmrec_plugin.contracts.backends import BackendContract


class TestEmbeddedFloat16Backend(BackendContract):
    tolerance = 1e-4

    @pytest.fixture
    def backend(self) -> SearchBackend:
        return SearchBackend({"dtype": "float16"})
