"""Evaluates files: finds out what they hold, lets each encoder measure them, and makes one report."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llmrec_plugin.conf import get_settings
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.services.evaluation import child_process
from llmrec_plugin.services.evaluation.encoder_choice import compare
from llmrec_plugin.services.evaluation.progress import ReportProgress
from llmrec_plugin.services.evaluation.recommendation import Options
from llmrec_plugin.suggest import hint

LABEL = "item"
"""Of items that name no document."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """Holds what is measured."""

    items: Path
    interactions: Path | None = None
    queries: Path | None = None
    qrels: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """An evaluation to be done."""

    files: Files
    document: str | None = None
    """Label among those that the items name; None: the only one."""
    language: str = ""
    """ISO 639-1 code of all items; empty: detected."""
    encoders: Sequence[str] = ()
    """Empty: LLMREC["ENCODER"]."""
    options: Options = field(default_factory=Options)
    strict: bool = False
    """Stop at the first bad line."""
    work: Path | None = None
    """Folder to work in and to keep, so that a second run need not encode again; None: a temporary one."""


def evaluate(request: Request, report_progress: ReportProgress) -> dict[str, Any]:
    """Return the report; raises InvalidRequest for files that cannot be measured, naming which and why."""
    files = _checked(request.files)
    label, documents = _documents(request, files.items)
    encoders = list(dict.fromkeys(request.encoders)) or [get_settings().ENCODER]
    answers = {}
    for encoder in encoders:
        asked = {
            "label": label,
            "documents": documents,
            "configuration": {},
            "files": {name: str(path) for name, path in asdict(files).items() if path is not None},
            "options": asdict(request.options),
            "strict": request.strict,
        }
        with _folder(request.work, encoder) as folder:
            named_progress = _named(report_progress, encoder if len(encoders) > 1 else "")
            answers[encoder] = child_process.run(asked, _spec(encoder), folder, named_progress)
    return compare(answers)


def _spec(encoder: str) -> EncoderSpec:
    """Return how to load it; the options of the settings are those of their encoder."""
    settings = get_settings()
    return EncoderSpec(name=encoder, options=settings.ENCODER_OPTIONS if encoder == settings.ENCODER else {})


def _checked(files: Files) -> Files:
    """Return absolute paths that exist, of files that belong together."""
    found = {name: path.resolve() for name, path in asdict(files).items() if path is not None}
    for name, path in found.items():
        if not path.is_file():
            raise InvalidRequest(f"--{name}: there is no file {path}.", parameter=name)
        if not path.stat().st_size:
            raise InvalidRequest(f"--{name}: {path} is empty.", parameter=name)
    if ("queries" in found) != ("qrels" in found):
        raise InvalidRequest("--queries and --qrels belong together: give both.", parameter="qrels")
    if "interactions" not in found and "qrels" not in found:
        raise InvalidRequest(
            "There is nothing to measure by: give --interactions, or --queries and --qrels.",
            parameter="interactions",
        )
    return Files(**found)


def _documents(request: Request, items: Path) -> tuple[str, list[dict[str, Any]]]:
    """Return the label to measure, and the documents that the items make up with the fields of their
    texts."""
    fields: dict[str, dict[str, int]] = {}
    with items.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with contextlib.suppress(ValueError, RecursionError):  # importing tells which lines are bad
                item = json.loads(line)
                if isinstance(item, dict) and isinstance(item.get("text"), dict):
                    names = fields.setdefault(str(item.get("document") or request.document or LABEL), {})
                    names.update(dict.fromkeys(map(str, item["text"]), 1))
    if not fields:
        raise InvalidRequest(
            f"{items.name} has no usable line: each is an object such as "
            '{"id": "1", "text": {"title": "…"}}.',
            parameter="items",
        )
    if request.document is None and len(fields) > 1:
        raise InvalidRequest(
            f"The items are of several documents: say --document {' | '.join(sorted(fields))}.",
            parameter="document",
        )
    label = request.document or next(iter(fields))
    if label not in fields:
        raise InvalidRequest(
            f'No item is of the document "{label}". {hint(label, sorted(fields))}', parameter="document"
        )
    documents = [
        {"label": name, "text_fields": texts, "language": request.language} for name, texts in fields.items()
    ]
    return label, documents


@contextlib.contextmanager
def _folder(work: Path | None, encoder: str) -> Iterator[Path]:
    if work is not None:
        kept = work / (re.sub(r"[^\w.-]+", "-", encoder).strip("-") or "encoder")
        try:
            kept.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise InvalidRequest(f"--work: {work} cannot be worked in: {error}.", parameter="work") from error
        with _alone(kept):
            yield kept
        return
    with child_process.temporary_folder() as folder:
        yield Path(folder)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Raise InvalidRequest while another one runs: two at once would take away each other's items and events,
    and measure what is left."""
    with (folder / "lock").open("w") as lock:
        if os.name != "nt":
            import fcntl

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InvalidRequest(
                    f"--work: another evaluation works in {folder}. Wait for it, or name another folder.",
                    parameter="work",
                ) from None
        yield


def _named(report_progress: ReportProgress, encoder: str) -> ReportProgress:
    return lambda what, done, total: report_progress(f"{encoder}: {what}" if encoder else what, done, total)
