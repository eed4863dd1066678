"""train, promote and rollback: what was learned, and which version answers."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from llmrec_plugin.exceptions import NotFound
from llmrec_plugin.management.output import Output
from llmrec_plugin.management.subcommands.base import (
    Options,
    Subcommand,
    chosen_labels,
    document_argument,
    single_label,
)
from llmrec_plugin.models import IndexVersion
from llmrec_plugin.services import promotion, training


def _train(options: Options, output: Output) -> bool:
    reports = {}
    for label in chosen_labels(options):
        with output.progress(f"train {label}", "steps") as progress:
            version = training.fit(label, by="command", progress=progress)
        reports[label] = {"model_version": version.pk, **version.report}
        output.line(
            f"{label}: model version {version.pk} from {version.report.get('events', 0)} interactions "
            f"({version.report.get('method', 'popularity')})"
        )
        _tell_choice(version.report, output)
    output.finish(reports)
    return True


def _tell_choice(report: Mapping[str, Any], output: Output) -> None:
    """Each step with its proof, and whether the highest one took the place of what answered before."""
    gate = report.get("gate")
    if gate is None:
        return
    output.table(
        ("step", "NDCG@10", "gain", "at least", ""),
        [
            (
                step["name"],
                f"{step['value']:.4f}",
                f"{step['gain']:+.4f}",
                f"{step['low']:+.4f}",
                _result(step),
            )
            for step in report["ladder"]
        ],
    )
    verdict = "replaces" if gate["taken"] else "does not beat"
    output.line(
        f'On {report["validation_events"]} held-back events "{report["step"]}" {verdict} what answered '
        f"before (gain {gate['gain']:+.4f}, at least {gate['low']:+.4f})."
    )


def _result(step: Mapping[str, Any]) -> str:
    if step["taken"]:
        return "taken"
    return "new items would be ranked worse" if step["reason"] == "new-items" else "not proven"


def _promote_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", type=int, help="primary key of an index version (see status)")
    document_argument(parser)


def _promote(options: Options, output: Output) -> bool:
    version = IndexVersion.objects.filter(pk=options["id"]).first()
    if version is None or (options["document"] and version.document != options["document"]):
        raise NotFound(f"There is no index version {options['id']}: `manage.py llmrec status` lists them.")
    deployment = promotion.promote(version, by="command", reason="manage.py llmrec promote")
    output.line(f"{version.document}: {version.name} is live")
    output.finish({"document": version.document, "index_version": version.name, "deployment": deployment.pk})
    return True


def _rollback(options: Options, output: Output) -> bool:
    label = single_label(options)
    deployment = promotion.rollback(label, by="command")
    output.line(f"{label}: back to {deployment.index_version.name}")
    output.finish(
        {"document": label, "index_version": deployment.index_version.name, "deployment": deployment.pk}
    )
    return True


COMMANDS = [
    Subcommand("train", "Learn from the interactions so far.", document_argument, _train),
    Subcommand("promote", "Make a ready index version live.", _promote_arguments, _promote),
    Subcommand("rollback", "Go back to what was live before.", document_argument, _rollback),
]
