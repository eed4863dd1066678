"""For processes that find declarations as a site does; tests within one process declare for themselves."""

from __future__ import annotations

from llmrec_plugin.documents import register
from tests.attached.site import AttachedProduct

register(AttachedProduct)
