"""import and export: items and interactions, from files and into files; judgements from files."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.management.output import Output
from llmrec_plugin.management.subcommands.base import Options, Subcommand, document_argument, single_label
from llmrec_plugin.services import interactions
from llmrec_plugin.services.import_export import exports, imports

SHOWN_ERRORS = 20


def _import_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", choices=["items", "interactions", "judgments"])
    parser.add_argument("file", nargs="?", type=Path, help="JSON Lines; judgments: TREC qrels")
    parser.add_argument("--queries", type=Path, help="judgments: JSON Lines with the texts of the queries")
    parser.add_argument("--strict", action="store_true", help="stop at the first bad line, store nothing")
    parser.add_argument(
        "--from-source",
        action="store_true",
        help="interactions: make events equal to the rows of the site's own InteractionSources",
    )
    document_argument(parser)


def _take_over(output: Output) -> bool:
    reports = {}
    for source in registry.interaction_sources:
        with output.progress(f"import {source.label}", "rows") as progress:
            report = reports[source.label] = interactions.reconcile(source, progress=progress)
        output.line(
            f"{source.label}: {report.checked} checked, {report.added} added, {report.changed} changed, "
            f"{report.removed} removed, {len(report.failing)} failing"
        )
        for key, error in list(report.failing.items())[:SHOWN_ERRORS]:
            output.line(f"  {key}: {error}")
    if not reports:
        output.line("No InteractionSource is registered.")
    output.finish(reports)
    return bool(reports) and not any(report.failing for report in reports.values())


def _import(options: Options, output: Output) -> bool:
    if options["from_source"]:
        return _take_over(output)
    path: Path | None = options["file"]
    if path is None or not path.is_file():
        raise InvalidRequest(
            f"There is no file {path}." if path else "Name the file to import.", parameter="file"
        )
    with output.progress(f"import {options['what']}", "lines") as progress:
        if options["what"] == "judgments":
            report = imports.import_judgments(
                path,
                queries=options["queries"],
                document=options["document"],
                strict=options["strict"],
                progress=progress,
            )
        else:
            run = imports.import_items if options["what"] == "items" else imports.import_interactions
            report = run(path, document=options["document"], strict=options["strict"], progress=progress)
    for line, message in report.errors[:SHOWN_ERRORS]:
        output.line(f"{path.name}:{line}: {message}")
    if len(report.errors) > SHOWN_ERRORS:
        output.line(f"… and {len(report.errors) - SHOWN_ERRORS} more")
    output.line(f"{report.stored} stored, {report.skipped} skipped, {len(report.errors)} bad lines")
    output.finish(report)
    return not report.errors


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", choices=["items", "interactions"])
    parser.add_argument("file", type=Path, help="is written as JSON Lines, or replaced")
    document_argument(parser)


def _export(options: Options, output: Output) -> bool:
    run = exports.export_items if options["what"] == "items" else exports.export_interactions
    with output.progress(f"export {options['what']}", options["what"]) as progress:
        count = run(options["file"], document=single_label(options), progress=progress)
    output.line(f"{count} {options['what']} are in {options['file']}.")
    output.finish({"written": count})
    return True


COMMANDS = [
    Subcommand("import", "Read items, interactions or judgements from a file.", _import_arguments, _import),
    Subcommand(
        "export", "Write items or interactions to a file that import reads.", _export_arguments, _export
    ),
]
