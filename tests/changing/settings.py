"""Settings of that site: what changes is read from a file when a process starts, as with a deploy."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.worker_settings import *  # noqa: F403
from tests.worker_settings import INSTALLED_APPS, LLMREC

CHANGES = json.loads(Path(os.environ["LLMREC_TEST_CHANGES"]).read_text())
INSTALLED_APPS = [*INSTALLED_APPS, "tests.changing"]
REST_FRAMEWORK: Any = {"DEFAULT_THROTTLE_RATES": {"llmrec-read": None, "llmrec-write": None}}  # type: ignore[no-redef]
SOLD_FIELDS = CHANGES.pop("filter_fields", ["in_stock"])
LLMREC = {
    **LLMREC,
    "INDEX_PREFIX": "changing",
    "ENCODER": "tests.changing.encoder",
    "LANGUAGES": ["en", "zh"],
    **CHANGES,
    "BACKEND_OPTIONS": {
        **LLMREC["BACKEND_OPTIONS"],
        **CHANGES.get("BACKEND_OPTIONS", {}),
    },
}
