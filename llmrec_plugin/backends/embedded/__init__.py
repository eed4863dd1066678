"""The engine that needs no server: SQLite (FTS5) for words and filters, numpy for vectors.

One file per index under LLMREC["DATA_DIR"]/index, used by any number of processes of one machine
at once. Search is exact, hence made for up to some 100,000 items per document type. A power cut
may undo the newest writes (never half of one); `llmrec audit --repair` finds such gaps.
"""

from llmrec_plugin.backends.embedded.engine import SearchBackend

__all__ = ["SearchBackend"]
