from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from django.test import override_settings
from elasticsearch import Elasticsearch

from llmrec_plugin.backends import get_backend
from tests.attached.site import AttachedProduct, Site
from tests.support.indexed import declared
from tests.support.servers import OLDEST_ELASTICSEARCH, Server, elasticsearch


@pytest.fixture(params=[OLDEST_ELASTICSEARCH])
def server(request: pytest.FixtureRequest) -> Server:
    return elasticsearch(request.param)


@pytest.fixture
def site(server: Server) -> Iterator[Site]:
    """Its index is empty; writes of the plugin are visible at once, so that no test has to wait."""
    changed = {
        **django_settings.LLMREC,
        "BACKEND": "llmrec_plugin.backends.elasticsearch",
        "BACKEND_OPTIONS": {"hosts": server.url, "refresh": True, "retries": 1, "request_timeout": 30},
    }
    with override_settings(LLMREC=changed), Elasticsearch(server.url) as client, declared(AttachedProduct):
        found = Site(client)
        found.clean()
        found.create()
        yield found
        found.clean()
        get_backend()._connection.close()  # type: ignore[attr-defined]
