"""Every test gets its own data folder, and no process-wide cache outlives a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import override_settings

from tests import servers


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A fresh LLMREC["DATA_DIR"]; changing LLMREC resets the settings, the engine and their caches."""
    with override_settings(LLMREC={**django_settings.LLMREC, "DATA_DIR": str(tmp_path)}):
        cache.clear()
        yield tmp_path
    cache.clear()


@pytest.fixture
def frozen_redis() -> Iterator[servers.Server]:
    """It takes connections, as the system does that for it, and never says a word."""
    with servers.obtained():
        server = servers.new_redis()
    server.start()
    server.freeze()
    yield server
    server.thaw()
    server.discard()
