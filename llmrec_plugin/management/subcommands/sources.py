"""export-model and train --source: carry what one site learned to another."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path

from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.management.output import Output
from llmrec_plugin.management.subcommands.base import (
    Options,
    Subcommand,
    chosen_labels,
    document_argument,
    single_label,
)
from llmrec_plugin.services.model_registry import source_models
from llmrec_plugin.services.model_registry.training_report import TransferReport
from llmrec_plugin.services.training import transfer

BROKEN = {
    "new-items": "new items would be ranked worse among themselves",
    "coverage": "lists would show too few different items",
}


def source_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        metavar="FOLDER|LABEL|FILE",
        help="learn towards what another site (export-model) or another document learned, and show the "
        "learning curves beside learning from nothing; with --encoder --set adversarial=WEIGHT: the document "
        "or file of items whose texts the encoder is not to tell from the site's own",
    )
    parser.add_argument(
        "--trust-source",
        action="store_true",
        help="with --source: take it over also where there are too few events to prove it",
    )


def learn_from_source(options: Options, output: Output) -> bool:
    labels = options["document"] or chosen_labels({"document": None})
    if len(labels) > 1:
        raise InvalidRequest(f"Say which document: --document {' | '.join(labels)}.", parameter="document")
    report = transfer.transfer(
        labels[0],
        options["source"],
        by=options["by"],
        reason=options["reason"],
        seconds=options["seconds"],
        trust=options["trust_source"],
    )
    _print_report(labels[0], report, output)
    output.finish({labels[0]: asdict(report)})
    return True


def _print_report(label: str, report: TransferReport, output: Output) -> None:
    if report.frozen is None:
        output.line(f"{label}: no events to measure anything on.")
    else:
        output.line(
            f"NDCG@10 of likeness alone on {report.cases} latest events, texts as they are: "
            f"{report.frozen:.4f}"
        )
        output.table(
            ("own events", "from nothing", "from the source"),
            [(point.events, f"{point.nothing:.4f}", f"{point.source:.4f}") for point in report.curve],
        )
    if report.gain is not None and report.low is not None:
        output.line(
            f"All sources together, with it over what answers: gain {report.gain:+.4f}, "
            f"at least {report.low:+.4f}."
        )
    if report.model_version is not None:
        output.line(f"{label}: model version {report.model_version} is live.")
    elif report.gain is None:
        output.line("Too few events to prove it; --trust-source takes it over all the same.")
    elif report.broken:
        why = "; ".join(BROKEN[reason] for reason in report.broken)
        output.line(f"It is not taken over, nothing was changed: {why}.")
    else:
        output.line("It is not proven better, so nothing was changed.")


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="where to write it")
    parser.add_argument("--overwrite", action="store_true", help="into a folder that is not empty, too")
    document_argument(parser)


def _export(options: Options, output: Output) -> bool:
    label = single_label(options)
    files = source_models.export_model(label, options["folder"], overwrite=options["overwrite"])
    output.line(f"{label}: {len(files)} files in {options['folder']}; no user and no item is in them.")
    output.finish({"document": label, "folder": str(options["folder"]), "files": files})
    return True


COMMANDS = [
    Subcommand(
        "export-model",
        "Write what was learned as a folder that other sites can start from.",
        _export_arguments,
        _export,
    ),
]
