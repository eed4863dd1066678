"""train --encoder: tune the encoder itself, and take it over if it is proven better."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.management.output import Output
from llmrec_plugin.management.subcommands.base import Options, chosen_labels
from llmrec_plugin.services.encoder_tuning import pipeline
from llmrec_plugin.training.base import TrainingOptions

REASONS = {
    "few-events": "too few of the latest events to tell",
    "not-proven": "the gain is not beyond luck",
    "new-items": "new items would be ranked worse",
    "search": "search would get worse",
    "coverage": "fewer items would be shown",
}


def tuning_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--encoder", action="store_true", help="tune the encoder itself; takes minutes to hours"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="with --encoder: a training option, such as loss=ranking, method=lora or seconds=600 "
        "(docs/reference/training.md lists them); may be repeated",
    )
    parser.add_argument(
        "--restart", action="store_true", help="with --encoder: do not go on with an interrupted training"
    )


def tune_encoders(options: Options, output: Output) -> bool:
    """Tune and report; returns False only for errors: an encoder that is not better is a result, too."""
    if options["due"]:
        raise InvalidRequest(
            "Nothing tells when tuning an encoder is due: leave --due or --encoder out.", parameter="due"
        )
    chosen = TrainingOptions.of(_settings(options["set"]))
    reports = {}
    for label in options["document"] or chosen_labels({"document": None}):
        with output.progress(f"tune {label}", "steps") as progress:
            report = pipeline.tune(
                label,
                options=chosen,
                by=options["by"],
                reason=options["reason"],
                seconds=options["seconds"],
                restart=options["restart"],
                source=options["source"] or "",
                progress=progress,
            )
        _print_report(label, report, output)
        reports[label] = {
            "encoder": report.encoder.name,
            "accepted": report.verdict.accepted,
            "reasons": list(report.verdict.reasons),
            "training": asdict(report.training),
            "comparison": dict(report.verdict.figures),
            "index_version": report.index_version.name if report.index_version else None,
            "model_version": report.model_version.pk if report.model_version else None,
        }
    output.finish(reports)
    return True


def _settings(given: Sequence[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    for name, sign, _ in pairs:
        if not sign:
            raise InvalidRequest(f"--set {name}: write NAME=VALUE.", parameter="set")
    return {name.strip().replace("-", "_"): value.strip() for name, _, value in pairs}


def _print_report(label: str, report: pipeline.TuningReport, output: Output) -> None:
    training = report.training
    resumed = f", gone on from step {training.resumed_from}" if training.resumed_from else ""
    output.line(
        f"{label}: {report.encoder.name}, {training.steps} steps on {training.pairs} pairs in "
        f"{training.seconds:.0f} s (ended by: {training.stopped}{resumed}); loss on later pairs "
        f"{training.valid_loss['before']:.4f} -> {training.valid_loss['after']:.4f}"
    )
    figures = report.verdict.figures
    if "gain" in figures:
        output.table(("", "before", "after", ""), list(_rows(figures)))
    if report.index_version is not None:
        output.line(
            f"It is better, so it is live: {report.index_version.name}. `llmrec rollback` takes it back."
        )
    else:
        why = "; ".join(REASONS[reason] for reason in report.verdict.reasons)
        output.line(f"It is not taken over, nothing was changed: {why}.")


def _rows(figures: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return the metric that decides, then each guard rail that could be measured."""
    proof = f"gain {figures['gain']:+.4f}, at least {figures['low']:+.4f}"
    rows = [(figures["metric"], f"{figures['before']:.4f}", f"{figures['after']:.4f}", proof)]
    for name, rail in figures["guard_rails"].items():
        if rail["before"] is not None:
            kept = "kept" if rail["held"] else "broken"
            rows.append((name, f"{rail['before']:.4f}", f"{rail['after']:.4f}", kept))
    return rows
