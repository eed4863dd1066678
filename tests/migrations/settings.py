"""The site whose database is kept as a dump; vectors of few dimensions keep it small."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import LLMREC

LLMREC = {**LLMREC, "ENCODER_OPTIONS": {"dimensions": 16}}
