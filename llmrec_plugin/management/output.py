"""What a command prints: tables and bars for people, one JSON value for machines."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any, Protocol

from tqdm import tqdm

from llmrec_plugin.ranking.history import shortened
from llmrec_plugin.services.explorer.comparison import PAST_ITEMS
from llmrec_plugin.services.serving.result_pages import notes
from llmrec_plugin.types import Progress, ResultItem, ResultPage


class Stream(Protocol):
    """A protocol that says where a command writes: a file, or Django's wrapper of one."""

    def write(self, text: str, /) -> object: ...


class Output:
    """Writes to `stream`; with `as_json` only `finish` prints, and people's lines are dropped."""

    def __init__(self, stream: Stream, *, as_json: bool) -> None:
        self.stream = stream
        self.as_json = as_json

    def line(self, text: str = "") -> None:
        if not self.as_json:
            self.stream.write(text + "\n")

    def finish(self, value: Any) -> None:
        """Print the machine's answer; people have read it already."""
        if self.as_json:
            self.stream.write(json.dumps(jsonable(value), ensure_ascii=False) + "\n")

    @contextmanager
    def progress(self, label: str, unit: str = "items") -> Iterator[Progress]:
        """Show a bar on a terminal, and nothing elsewhere."""
        shown = not self.as_json and sys.stderr.isatty()
        with tqdm(desc=label, unit=f" {unit}", disable=not shown, leave=False) as bar:

            def advance(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield advance

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print columns as wide as their widest cell; a Han character counts two."""
        cells = [list(header), *([str(cell) for cell in row] for row in rows)]
        widths = [max(_width(row[i]) for row in cells) for i in range(len(header))]
        for row in cells:
            padded = (c + " " * (w - _width(c)) for c, w in zip(row, widths, strict=True))
            self.line("  ".join(padded).rstrip())

    def page(self, page: ResultPage, *, explain: bool = False) -> None:
        """Print a ranked list with its reasons."""
        for rank, item in enumerate(page.results, start=1):
            self.line(f"{rank:>3}. {item.title}  [{item.document} {item.item_id}]  {item.score:.3f}")
            for reason in item.reasons:
                self.line(f"     {reason}")
            if explain:
                self._explain(item)
        if not page.results:
            self.line("Nothing found.")
        if page.did_you_mean:
            self.line(f"Did you mean: {page.did_you_mean}")
        for typed, found in page.synonyms.items():
            self.line(f"“{typed}” also found: {', '.join(found)}")
        if page.relaxed:
            self.line(f"Nothing was found as asked; given up: {page.relaxed}")
        if page.degraded:
            self.line(f"Answered without: {', '.join(page.degraded)}")

    def _explain(self, item: ResultItem) -> None:
        parts = ", ".join(f"{name} {value:+.3f}" for name, value in item.contributions.items())
        self.line(f"     {parts}")
        if item.history:
            shown = shortened(item.history, PAST_ITEMS)
            moved = (f"{past.title or past.item_id or 'others'} {past.value:+.3f}" for past in shown)
            self.line(f"     because of: {', '.join(moved)}")
        if item.probability is not None:
            self.line(f"     probability {item.probability:.3f}")


def page_payload(page: ResultPage, *, explain: bool = False) -> dict[str, Any]:
    """Return the page in the shape that REST answers with, too."""
    results = [
        {
            "document": item.document,
            "id": item.item_id,
            "title": item.title,
            "score": item.score,
            "reasons": list(item.reasons),
            "highlights": dict(item.highlights),
            **(_explained(item) if explain else {}),
        }
        for item in page.results
    ]
    facets = {
        name: [{"value": value, "count": count} for value, count in counts]
        for name, counts in page.facets.items()
    }
    return {
        "results": results,
        "total": page.total,
        "facets": facets,
        "degraded": list(page.degraded),
        "request_id": page.request_id or None,
        "next": page.next,
        **notes(page),
    }


def _explained(item: ResultItem) -> dict[str, Any]:
    return {
        "contributions": dict(item.contributions),
        "history": [past._asdict() for past in item.history],
        "probability": item.probability,
    }


def jsonable(value: Any) -> Any:
    """Return `value` in what JSON knows: dataclasses as objects, times in ISO 8601, the rest as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return jsonable(asdict(value))
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
