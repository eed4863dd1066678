from __future__ import annotations

import pytest

from llmrec_plugin.backends.elasticsearch import SearchBackend
from tests.contracts.backend_suite import BackendContract
from tests.servers import elasticsearch


class TestElasticsearch8(BackendContract):
    version = "8.19.9"

    @pytest.fixture
    def backend(self) -> SearchBackend:
        return SearchBackend({"hosts": elasticsearch(self.version).url})


class TestElasticsearch9(TestElasticsearch8):
    version = "9.2.8"
