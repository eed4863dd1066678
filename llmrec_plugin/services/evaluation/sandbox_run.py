"""Does what the child process is for: fill the throwaway site from files, build its index, measure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from llmrec_plugin.documents import registry
from llmrec_plugin.encoders.base import load_encoder
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.figures import jsonable
from llmrec_plugin.models import (
    Configuration,
    Deployment,
    Embedding,
    ImportedItem,
    Impression,
    IndexVersion,
    Interaction,
    Judgment,
    ModelVersion,
)
from llmrec_plugin.processes import peak_mb
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.evaluation import recommendation, search
from llmrec_plugin.services.evaluation.event_log import read_log
from llmrec_plugin.services.evaluation.progress import ReportProgress, part
from llmrec_plugin.services.evaluation.recommendation import Measured, Options
from llmrec_plugin.services.import_export import imports
from llmrec_plugin.services.import_export.imports import ImportReport
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.inference.encoders import encoder_of
from llmrec_plugin.services.items.preparation import sample

SHOWN_ERRORS = 20
SAMPLE = 64


def answer(request: Mapping[str, Any], report_progress: ReportProgress) -> dict[str, Any]:
    """Return {"report": as interface files it, "by_case": what encoders are compared by, "encoder": its
    costs}.

    The folder may be that of an earlier run: what was encoded then is not encoded again.
    """
    label, files = request["label"], request["files"]
    load_encoder(registry.get(label).encoder_spec())  # one that is not there is said before all is read
    _forget_earlier()
    if request["configuration"]:
        Configuration(**request["configuration"]).save()
    read = {
        name: _imported(request, name, report_progress)
        for name in ("items", "interactions")
        if files.get(name)
    }
    if files.get("embeddings"):
        _take_over(label, Path(files["embeddings"]))
    if files.get("interactions"):
        read_log(label, _keys(label))  # what nothing can be foreseen of is said before all is encoded
    cost = _build(label, report_progress)
    measured: dict[str, Measured] = {}
    if files.get("qrels"):  # first: a query knows all that its user did, the other part takes events back
        users, read["qrels"] = _judgments(request, report_progress)
        measured["search"] = search.measure(label, users, report_progress)
    if files.get("interactions"):
        measured["recommendation"] = recommendation.measure(
            label, Options(**request["options"]), report_progress
        )
    return {
        "report": jsonable(
            {name: part for found in measured.values() for name, part in found.report.items()}
        ),
        "by_case": jsonable({name: found.by_case for name, found in measured.items()}),
        "encoder": jsonable(cost | {"peak_mb": peak_mb()}),
        "files": {name: _told(report) for name, report in read.items()},
    }


def _keys(label: str) -> list[str]:
    """Return the keys of all items that were imported for the document."""
    return [str(pk) for pk in registry.get(label).get_queryset().values_list("pk", flat=True)]


def _forget_earlier() -> None:
    """Delete all but the index and the vectors."""
    Deployment.objects.update(model_version=None)
    for model in (Interaction, Impression, Judgment, Configuration, ImportedItem, ModelVersion):
        model._default_manager.all().delete()


def _imported(request: Mapping[str, Any], name: str, report_progress: ReportProgress) -> ImportReport:
    read = imports.import_items if name == "items" else imports.import_interactions
    path = Path(request["files"][name])
    report = read(
        path,
        document=request["label"],
        strict=request["strict"],
        progress=part(report_progress, f"read {name}"),
    )
    return _usable(report, path, parameter=name)


def _judgments(
    request: Mapping[str, Any], report_progress: ReportProgress
) -> tuple[dict[str, str], ImportReport]:
    path, queries = Path(request["files"]["qrels"]), Path(request["files"]["queries"])
    report = imports.import_judgments(
        path,
        queries=queries,
        document=request["label"],
        strict=request["strict"],
        progress=part(report_progress, "read qrels"),
    )
    return imports.query_users(queries), _usable(report, path, parameter="qrels")


def _usable(report: ImportReport, path: Path, *, parameter: str) -> ImportReport:
    if report.stored:
        return report
    first = f" Line {report.errors[0][0]}: {report.errors[0][1]}" if report.errors else " It is empty."
    raise InvalidRequest(f"{path.name} has no usable line.{first}", parameter=parameter)


def _take_over(label: str, path: Path) -> None:
    """Take over vectors that the site has already."""
    with np.load(path, allow_pickle=False) as stored:
        rows = [
            Embedding(
                document=label,
                item_id=str(key),
                encoder_id=str(stored["encoder_id"]),
                fingerprint=str(fingerprint),
                vector=vector.astype("<f4").tobytes(),
            )
            for key, fingerprint, vector in zip(
                stored["keys"], stored["fingerprints"], stored["vectors"], strict=True
            )
        ]
    Embedding.objects.bulk_create(rows, batch_size=500, ignore_conflicts=True)


def _build(label: str, report_progress: ReportProgress) -> dict[str, Any]:
    """Build the index; raises InvalidRequest where an item could not be indexed at all."""
    report = build(label, progress=part(report_progress, "build the index"), by="evaluate")
    if not report.written and not Embedding.objects.filter(document=label).exists():
        raise InvalidRequest(
            "No item could be indexed: their texts are empty, or the encoder refuses them.", parameter="items"
        )
    version = live_pair(label).index_version
    return {
        "name": version.encoder_name,
        "dimensions": version.dimensions,
        "encoded": report.encoded,
        "items_per_second": _rate(version),
    }


def _rate(version: IndexVersion) -> float:
    """Return how many items the encoder reads in a second, here and now, whether or not it had to read
    any."""
    passages = [item.passage for item in sample(registry.get(version.document), SAMPLE)]
    encoder = encoder_of(version)
    encoder.encode_document(passages[:1])  # loading and warming up is no part of the rate
    started = time.perf_counter()
    encoder.encode_document(passages)
    return len(passages) / (time.perf_counter() - started)


def _told(report: ImportReport) -> dict[str, Any]:
    return {
        "stored": report.stored,
        "duplicates": report.skipped,
        "bad_lines": len(report.errors),
        "errors": [list(error) for error in report.errors[:SHOWN_ERRORS]],
    }
