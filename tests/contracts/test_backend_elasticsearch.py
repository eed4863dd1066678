from __future__ import annotations

import pytest

from llmrec_plugin.backends.elasticsearch import SearchBackend
from llmrec_plugin.contracts.backends import BackendContract
from tests.support.servers import ELASTICSEARCH_VERSIONS, elasticsearch


class TestElasticsearch(BackendContract):
    @pytest.fixture(params=ELASTICSEARCH_VERSIONS)
    def backend(self, request: pytest.FixtureRequest) -> SearchBackend:
        return SearchBackend({"hosts": elasticsearch(request.param).url})
