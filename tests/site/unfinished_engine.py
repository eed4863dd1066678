"""An engine of a site's own that does not do all that one must."""

from __future__ import annotations

from llmrec_plugin.backends import SearchBackend as Engine


class SearchBackend(Engine):
    """Answers nothing."""
