"""Evaluates the site on a copy of its own items, events and judgements, and keeps the report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from django.forms.models import model_to_dict

from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.documents.imported import PASSAGE
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import Configuration, Embedding, Evaluation, Interaction, Judgment
from llmrec_plugin.services.deployment.live import find_live_pair
from llmrec_plugin.services.evaluation import child_process
from llmrec_plugin.services.evaluation.encoder_choice import compare
from llmrec_plugin.services.evaluation.progress import ReportProgress
from llmrec_plugin.services.evaluation.recommendation import Options
from llmrec_plugin.services.items.preparation import prepared
from llmrec_plugin.services.privacy import consent

CHUNK = 2_000
CHANGED = ("id", "updated_at")
"""Of the configuration: not the editor's."""


def evaluate_site(
    label: str, options: Options, report_progress: ReportProgress, *, encoders: Sequence[str] = (), by: str
) -> Evaluation:
    """Measure a document on what the site holds now, as its editors have configured it.

    Users without consent are left out, and the others are numbers in the copy, which ends with the run.
    Stored vectors are not computed again. Raises InvalidRequest where there is too little to measure.
    """
    document = registry.get(label)
    declared = document.encoder_spec()
    specs = [
        declared if name == declared.name else EncoderSpec(name=name) for name in dict.fromkeys(encoders)
    ]
    answers = {}
    with child_process.temporary_folder() as folder:
        copied = _copy(document, Path(folder), report_progress)
        request = {
            "label": label,
            "documents": [{"label": label, "text_fields": _weights(document), "language": ""}],
            "configuration": _configuration(),
            "files": {name: str(path) for name, path in copied.items()},
            "options": asdict(options),
            "strict": False,
        }
        for number, spec in enumerate(specs or [declared]):
            answers[spec.name] = child_process.run(request, spec, Path(folder) / str(number), report_progress)
    return Evaluation.objects.create(document=label, report=compare(answers), by=by)


def _copy(document: SearchDocument[Any], folder: Path, report_progress: ReportProgress) -> dict[str, Path]:
    """Write files of what there is to measure by; raises InvalidRequest where that is nothing."""
    files = {"items": folder / "items.jsonl"}
    if not _write(files["items"], _items(document, report_progress)):
        raise InvalidRequest(f'"{document.label}" has no items with a text.', parameter="document")
    if _write(folder / "interactions.jsonl", _events(document.label)):
        files["interactions"] = folder / "interactions.jsonl"
    judgments = Judgment.objects.filter(document=document.label).order_by("id")
    if judgments.exists():
        queries = judgments.order_by().values_list("query_id", "query").distinct()
        numbers = {query: f"q{number}" for number, (query, _) in enumerate(sorted(queries))}
        _write(folder / "queries.jsonl", ({"id": numbers[query], "text": text} for query, text in queries))
        with (folder / "qrels.txt").open("w", encoding="utf-8") as file:
            for query, key, grade in judgments.values_list("query_id", "item_id", "grade").iterator(CHUNK):
                if " " not in key:  # the format knows no such id
                    file.write(f"{numbers[query]} 0 {key} {grade}\n")
        files |= {"queries": folder / "queries.jsonl", "qrels": folder / "qrels.txt"}
    if files.keys() == {"items"}:
        raise InvalidRequest(
            f'"{document.label}" has neither interactions of users who agreed nor judgements of queries: '
            "there is nothing to measure by. `manage.py llmrec import` reads them from files.",
            parameter="document",
        )
    return files | _vectors(document.label, folder)


def _write(path: Path, rows: Iterator[Mapping[str, Any]]) -> int:
    """Write the rows and return how many there were."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def _weights(document: SearchDocument[Any]) -> dict[str, float]:
    """Return the weights by number: a name of the site may mean something else where the texts are JSON."""
    return {f"text{place}": weight for place, weight in enumerate(document.weights().values())}


def _items(document: SearchDocument[Any], report_progress: ReportProgress) -> Iterator[dict[str, Any]]:
    rows = document.get_queryset().order_by("pk")
    total = rows.count()
    for number, row in enumerate(rows.iterator(CHUNK), start=1):
        found = None
        with suppress(Exception):  # the site's own code; such an item is in no index either
            found = prepared(document, row)
        if found is not None:
            texts = {f"text{place}": text for place, text in enumerate(found.text.values())}
            yield {"id": found.key, "text": {**texts, PASSAGE: found.passage}}
        report_progress("copy", number, max(number, total))


def _events(label: str) -> Iterator[dict[str, Any]]:
    numbers: dict[str, int] = {}
    rows = consent.consented(Interaction.objects.filter(document=label)).order_by("id")
    columns = ("pk", "user_key", "item_id", "kind", "value", "at")
    for pk, user, key, kind, value, at in rows.values_list(*columns).iterator(chunk_size=10_000):
        yield {
            "id": str(pk),
            "user": f"u{numbers.setdefault(user, len(numbers))}",
            "item": key,
            "kind": kind,
            "value": value,
            "time": at.isoformat(),
        }


def _vectors(label: str, folder: Path) -> dict[str, Path]:
    """Return what the live index was made of."""
    pair = find_live_pair(label)
    if pair is None:
        return {}
    encoder_id = pair.index_version.encoder_id
    rows = list(
        Embedding.objects.filter(document=label, encoder_id=encoder_id).only(
            "item_id", "fingerprint", "vector"
        )
    )
    if not rows:
        return {}
    path = folder / "embeddings.npz"
    np.savez(
        path,
        encoder_id=np.array(encoder_id),
        keys=np.array([row.item_id for row in rows]),
        fingerprints=np.array([row.fingerprint for row in rows]),
        vectors=np.stack([row.as_array() for row in rows]),
    )
    return {"embeddings": path}


def _configuration() -> dict[str, Any]:
    current = model_to_dict(Configuration.current())
    return {name: value for name, value in current.items() if name not in CHANGED}
