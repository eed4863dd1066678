"""The test site with a token for Prometheus."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import LLMREC

LLMREC = {**LLMREC, "METRICS_TOKEN": "a long secret"}
