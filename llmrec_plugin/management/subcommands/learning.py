"""train, promote and rollback: what was learned, and which version answers."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from llmrec_plugin import plots
from llmrec_plugin.exceptions import InvalidRequest, LlmrecError, NotFound, TrainingFailed
from llmrec_plugin.learning.selection.steps import SelectionStep
from llmrec_plugin.management.output import Output
from llmrec_plugin.management.subcommands.base import (
    Options,
    Subcommand,
    chosen_labels,
    document_argument,
    single_label,
)
from llmrec_plugin.management.subcommands.sources import learn_from_source, source_arguments
from llmrec_plugin.management.subcommands.tuning import tune_encoders, tuning_arguments
from llmrec_plugin.models import Deployment, IndexVersion, ModelVersion
from llmrec_plugin.services.deployment import promotion
from llmrec_plugin.services.model_registry.training_report import PrivacyBill, TrainingReport, report_of
from llmrec_plugin.services.reporting import model_charts
from llmrec_plugin.services.search_quality import weight_learning, weight_report
from llmrec_plugin.services.training import runs


def _train_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--document", action="append", metavar="LABEL", help="only this document; may be repeated"
    )
    parser.add_argument(
        "--due", action="store_true", help="only what enough happened with since, as the schedule does"
    )
    parser.add_argument(
        "--search",
        action="store_true",
        help="only look for better weights of search, by judgements or clicks",
    )
    parser.add_argument("--seconds", type=int, metavar="N", help="stop each training after so long")
    source_arguments(parser)
    tuning_arguments(parser)
    _audit_arguments(parser)


def _audit_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--by", default="command", metavar="NAME", help="who is recorded as having done it")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the record")


def _train(options: Options, output: Output) -> bool:
    """Train each document; one that fails does not keep the others from being learned of."""
    _refuse_what_goes_nowhere(options)
    if options["encoder"]:
        return tune_encoders(options, output)
    if options["source"]:
        return learn_from_source(options, output)
    if options["search"]:
        return _weigh_searches(options, output)
    reports: dict[str, dict[str, Any]] = {}
    failures: list[Exception] = []
    for label in options["document"] or chosen_labels({"document": None}):
        reason = runs.why_due(label) if options["due"] else options["reason"]
        if options["due"] and not reason:
            output.line(f"{label}: nothing to do, too little happened since the last training")
            continue
        try:
            reports[label] = _train_one(label, reason, options, output)
        except Exception as error:
            failures.append(error)
            output.line(f"{label}: failed, what was live stays live ({runs.error_message(error)})")
    if failures:
        raise _as_ours(failures[-1])
    output.finish(reports)
    return True


def _as_ours(error: Exception) -> LlmrecError:
    """Return the error as one of ours, for what it says goes to the log of a worker: an error of anybody else
    may quote a row there."""
    if isinstance(error, LlmrecError):
        return error
    failure = TrainingFailed(runs.error_message(error))
    failure.__cause__ = error
    return failure


NEEDS = {"set": "encoder", "restart": "encoder", "trust_source": "source"}
"""Options that say something about another one."""
EXCLUSIVE = (
    ("due", "source"),
    ("due", "search"),
    ("search", "source"),
    ("search", "encoder"),
    ("trust_source", "encoder"),
)


def _refuse_what_goes_nowhere(options: Options) -> None:
    """Raise InvalidRequest for options that would be read by nobody."""
    for name, other in NEEDS.items():
        if options[name] and not options[other]:
            raise InvalidRequest(
                f"{_flag(name)} says something about {_flag(other)}: add that, or leave it out.",
                parameter=name,
            )
    for one, other in EXCLUSIVE:
        if options[one] and options[other]:
            raise InvalidRequest(
                f"{_flag(one)} and {_flag(other)} exclude each other: leave one of them out.", parameter=one
            )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _train_one(label: str, reason: str, options: Options, output: Output) -> dict[str, Any]:
    with output.progress(f"train {label}", "steps") as progress:
        version = runs.train(
            label, by=options["by"], reason=reason, seconds=options["seconds"], progress=progress
        )
    report = report_of(version)
    output.line(f"{label}: model version {version.pk} from {report.events} interactions ({report.method})")
    _report_choice(report, output)
    if report.privacy is not None:
        _report_bill(report.privacy, report.users, output)
    return {
        "model_version": version.pk,
        **report.to_json(),
        "search": _weigh_search(label, options, output),
    }


def _weigh_searches(options: Options, output: Output) -> bool:
    labels = options["document"] or chosen_labels({"document": None})
    output.finish({label: {"search": _weigh_search(label, options, output)} for label in labels})
    return True


def _weigh_search(label: str, options: Options, output: Output) -> dict[str, Any]:
    """Look for better weights of search; what was learned is live by now: whatever fails here takes nothing
    of it back."""
    try:
        choice = weight_learning.learn_search_weights(label, by=options["by"])
    except LlmrecError as error:
        output.line(f"{label}, search: failed, what was live stays live ({error})")
        return {"error": str(error)}
    for sentence in weight_report.sentences(choice):
        output.line(f"{label}, search: {sentence}")
    return {"adopted": choice.adopted, **choice.report}


def _report_choice(report: TrainingReport, output: Output) -> None:
    """Print each step with its proof, and whether the highest one took the place of what answered before."""
    selection, gate = report.selection, report.gate
    if selection is None or gate is None:
        return
    output.table(
        ("step", "NDCG@10", "gain", "at least", ""),
        [
            (
                step.name,
                f"{step.value:.4f}",
                f"{step.gain:+.4f}",
                f"{step.low:+.4f}",
                _result(step),
            )
            for step in selection.steps
        ],
    )
    verdict = "replaces" if gate.taken else "does not beat"
    if gate.reason == "coverage":
        verdict = "would show too few different items in place of"
    output.line(
        f'On {selection.cases} held-back events "{selection.name}" {verdict} what answered '
        f"before (gain {gate.gain:+.4f}, at least {gate.low:+.4f})."
    )


def _report_bill(bill: PrivacyBill, users: int, output: Output) -> None:
    output.line(
        f"Private: epsilon {bill.epsilon:g} for this training, {bill.epsilon_of_all:g} with all before "
        f"it, at delta {bill.delta:g}."
    )
    if bill.few_users:
        output.line(f"With {users:,} users the noise may outweigh what they tell.")


def _result(step: SelectionStep) -> str:
    if step.taken:
        return "taken"
    return {
        "new-items": "new items would be ranked worse",
        "coverage": "fewer items would be shown",
    }.get(step.reason, "not proven")


def _promote_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", type=int, help="primary key of an index version (see status)")
    parser.add_argument(
        "--model", action="store_true", help="the id is that of a model version, for the live index"
    )
    document_argument(parser)
    _audit_arguments(parser)


def _promote(options: Options, output: Output) -> bool:
    kind = ModelVersion if options["model"] else IndexVersion
    version = kind.objects.filter(pk=options["id"]).first()
    if version is None or (options["document"] and version.document != options["document"]):
        name = kind._meta.verbose_name
        raise NotFound(f"There is no {name} {options['id']}: `manage.py llmrec status` lists what is live.")
    audit = {"by": options["by"], "reason": options["reason"] or "manage.py llmrec promote"}
    if isinstance(version, ModelVersion):
        deployment = promotion.promote_model(version, **audit)
    else:
        deployment = promotion.promote(version, **audit)
    _finish(deployment, "{} is live", output)
    return True


def _rollback(options: Options, output: Output) -> bool:
    label = single_label(options)
    deployment = promotion.rollback(label, by=options["by"], reason=options["reason"])
    _finish(deployment, "back to {}", output)
    return True


def _finish(deployment: Deployment, words: str, output: Output) -> None:
    number = deployment.model_version_id
    model = f" with model version {number}" if number else " with no model: lists as configured"
    output.line(f"{deployment.document}: {words.format(deployment.index_version.name + model)}")
    output.finish(
        {
            "document": deployment.document,
            "index_version": deployment.index_version.name,
            "model_version": deployment.model_version_id,
            "deployment": deployment.pk,
        }
    )


def _rollback_arguments(parser: ArgumentParser) -> None:
    document_argument(parser)
    _audit_arguments(parser)


def _plots_arguments(parser: ArgumentParser) -> None:
    document_argument(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the SVG files")
    parser.add_argument(
        "--colour", default="", metavar="FIELD", help="filter field that tells the items of the map apart"
    )


def _plots(options: Options, output: Output) -> bool:
    folder: Path = options["output"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for label in chosen_labels(options):
            for picture in model_charts.pictures(label, colour=options["colour"]):
                file = folder / f"{picture.chart.name}.svg"
                file.write_text(plots.draw(picture.chart, standalone=True), encoding="utf-8")
                written.append(str(file))
                output.line(f"{file}: {picture.chart.title}")
    except OSError as error:
        raise InvalidRequest(f"Cannot write to {folder}: {error}.", parameter="output") from error
    if not written:
        output.line("Nothing to show yet: build an index, let people act, and train.")
    output.finish({"files": written})
    return True


COMMANDS = [
    Subcommand("train", "Learn from the interactions so far.", _train_arguments, _train),
    Subcommand(
        "promote", "Make a ready index version, or a kept model version, live.", _promote_arguments, _promote
    ),
    Subcommand("rollback", "Go back to what was live before.", _rollback_arguments, _rollback),
    Subcommand("plots", "Draw what was learned and how it went, as SVG files.", _plots_arguments, _plots),
]
