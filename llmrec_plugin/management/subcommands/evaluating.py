"""evaluate: how good search and recommendations are, on files or on the site's own events."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.management.output import Output
from llmrec_plugin.management.subcommands.base import Options, Subcommand, document_argument, single_label
from llmrec_plugin.services.evaluation import from_files, from_site
from llmrec_plugin.services.evaluation.from_files import Files
from llmrec_plugin.services.evaluation.progress import ReportProgress
from llmrec_plugin.services.evaluation.recommendation import Options as Protocol
from llmrec_plugin.services.evaluation.tables import learning, tables
from llmrec_plugin.types import Progress


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share < 1:
        raise ArgumentTypeError(f"{text} is no share between 0 and 1")
    return share


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ArgumentTypeError(f"{text} is not at least 1")
    return count


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--items", type=Path, metavar="FILE", help="JSON Lines of items (default: the site's own rows)"
    )
    parser.add_argument("--interactions", type=Path, metavar="FILE", help="JSON Lines of events to foresee")
    parser.add_argument("--queries", type=Path, metavar="FILE", help="JSON Lines of queries, with --qrels")
    parser.add_argument("--qrels", type=Path, metavar="FILE", help="TREC judgements of the queries")
    parser.add_argument(
        "--protocol",
        choices=["temporal", "last-out"],
        default="temporal",
        help="what is foreseen: the latest tenth of the events (default), or the last one of each user",
    )
    parser.add_argument(
        "--shares",
        type=_share,
        nargs=2,
        default=(0.1, 0.1),
        metavar=("VALID", "TEST"),
        help="temporal: shares of the events to choose settings by and to report on (default: 0.1 0.1)",
    )
    parser.add_argument(
        "--limit-events",
        type=_count,
        default=4_000,
        metavar="N",
        help="foresee at most N events, drawn at random (default: 4000)",
    )
    parser.add_argument(
        "--encoder",
        action="extend",
        nargs="+",
        metavar="NAME",
        help="instead of LLMREC['ENCODER']; several are compared",
    )
    parser.add_argument("--language", default="", metavar="CODE", help="of all items (default: detected)")
    parser.add_argument("--strict", action="store_true", help="stop at the first bad line")
    parser.add_argument(
        "--work",
        type=Path,
        metavar="FOLDER",
        help="keep the throwaway site here; a second run encodes nothing",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the report here, as JSON")
    document_argument(parser)


def _evaluate(options: Options, output: Output) -> bool:
    if options["output"] is not None:
        _write(options["output"], {})  # to learn now, and not in an hour, that it cannot be written
    report = _on_site(options, output) if options["items"] is None else _on_files(options, output)
    for table in tables(report):
        output.line()
        output.line(table.title)
        output.table(table.header, table.rows)
    for line in _remarks(report):
        output.line(line)
    if options["output"] is not None:
        _write(options["output"], report)
        output.line(f"The report is in {options['output']}.")
    output.finish(report)
    return True


def _on_site(options: Options, output: Output) -> dict[str, Any]:
    """Measure on the site's own rows, as long as no file was named that belongs to one of items."""
    for name in ("interactions", "queries", "qrels", "work"):
        if options[name] is not None:
            raise InvalidRequest(f"--{name} needs the items it is about: --items FILE.", parameter="items")
    label = single_label(options)
    with _bars(output) as report_progress:
        found = from_site.evaluate_site(
            label, _protocol(options), report_progress, encoders=options["encoder"] or (), by="command"
        )
    output.line(f"{label}: evaluation {found.pk}, in the admin under Evaluations.")
    report: dict[str, Any] = found.report
    return report


def _protocol(options: Options) -> Protocol:
    valid, test = options["shares"]
    if valid + test >= 1:
        raise InvalidRequest(
            "--shares leaves no events to learn from: both together must be below 1.", parameter="shares"
        )
    return Protocol(protocol=options["protocol"], most=options["limit_events"], valid=valid, test=test)


def _on_files(options: Options, output: Output) -> dict[str, Any]:
    request = from_files.Request(
        files=Files(**{name: options[name] for name in ("items", "interactions", "queries", "qrels")}),
        document=options["document"],
        language=options["language"],
        encoders=options["encoder"] or (),
        options=_protocol(options),
        strict=options["strict"],
        work=options["work"],
    )
    with _bars(output) as report_progress:
        return from_files.evaluate(request, report_progress)


@contextmanager
def _bars(output: Output) -> Iterator[ReportProgress]:
    """Show one progress bar after the other, each gone when the next begins."""
    with ExitStack() as stack:
        shown: dict[str, Progress] = {}

        def report_progress(what: str, done: int, total: int) -> None:
            if what not in shown:
                stack.pop_all().close()
                shown[what] = stack.enter_context(output.progress(what, "steps"))
            shown[what](done, total)

        yield report_progress


def _write(path: Path, report: Mapping[str, Any]) -> None:
    """Write the report whole or not at all; an empty report is only a try. Raises InvalidRequest where that
    fails."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        unfinished.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        if report:
            unfinished.replace(path)
        else:
            unfinished.unlink()
    except OSError as error:
        raise InvalidRequest(f"--output: {path} cannot be written: {error}.", parameter="output") from error


def _remarks(report: Mapping[str, Any]) -> Iterator[str]:
    for name, read in report["files"].items():
        if read["bad_lines"]:
            yield f"{name}: {read['bad_lines']} bad lines were left out, such as"
            yield from (f"  line {number}: {why}" for number, why in read["errors"][:5])
        if read["duplicates"]:
            yield f"{name}: {read['duplicates']} lines say what an earlier one said; they count once."
    recommendation = report.get("recommendation")
    if recommendation:
        left_out = recommendation["left_out"]
        yield from (f"{count} interactions are left out: {why}." for why, count in left_out.items())
        yield learning(recommendation)
    encoder = report["encoder"]
    yield from map(_costs, report.get("encoders", {"": encoder}).values())
    if "choice" in report:
        yield f"Take {report['choice']['encoder']}. {report['choice']['why']}"


def _costs(encoder: Mapping[str, Any]) -> str:
    memory = "" if encoder["peak_mb"] is None else f", {encoder['peak_mb']:.0f} MB"
    return (
        f"Encoder {encoder['name']}: {encoder['dimensions']} dimensions, "
        f"{encoder['items_per_second']:.0f} items/s{memory}."
    )


COMMANDS = [
    Subcommand(
        "evaluate",
        "Measure search and recommendations, of files or the site's own rows, in a throwaway database.",
        _arguments,
        _evaluate,
    ),
]
