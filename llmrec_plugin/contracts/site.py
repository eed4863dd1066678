"""The site under test: its own rows and declarations, an engine in memory, an encoder of hashed words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import override_settings

from llmrec_plugin import pytest_plugin

USUAL: dict[str, Any] = {"ENABLED": True, "CONSENT": "opt-out", "PLACEMENTS": {}}
"""What the contracts count on, whatever the site's settings say."""


@pytest.mark.django_db
class SiteContract:
    """A contract of something that is at work in a site, which lacks for nothing."""

    @pytest.fixture(autouse=True)
    def _usual_settings(self, db: None, tmp_path: Path) -> Iterator[None]:
        with pytest_plugin.set_up({**pytest_plugin.quick_settings(tmp_path), **USUAL}):
            yield


@contextmanager
def silent_engine() -> Iterator[None]:
    """Let no engine answer meanwhile."""
    changed = {**settings.LLMREC, "BACKEND": "llmrec_plugin.contracts.silent_engine"}
    with override_settings(LLMREC=changed):
        cache.clear()
        yield
