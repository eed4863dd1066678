"""build, drain, audit and status: keep the indexes equal to the site."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta

from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import NotFound
from llmrec_plugin.management.output import Output, jsonable
from llmrec_plugin.management.subcommands.base import (
    Options,
    Subcommand,
    chosen_labels,
    document_argument,
    no_arguments,
)
from llmrec_plugin.models import IndexVersion
from llmrec_plugin.services import indexing, interactions
from llmrec_plugin.services.deployment import renaming, retirement
from llmrec_plugin.services.indexing import index_audit as audit_service
from llmrec_plugin.services.indexing import index_build as build_service
from llmrec_plugin.services.indexing import index_mending
from llmrec_plugin.services.interactions import SourceReport, site_sources
from llmrec_plugin.services.monitoring import status
from llmrec_plugin.services.privacy.erasure import erase_marked


def _build_arguments(parser: ArgumentParser) -> None:
    document_argument(parser)
    parser.add_argument("--rebuild", action="store_true", help="a new version even if nothing changed")
    parser.add_argument("--no-promote", action="store_true", help="leave the new version ready, not live")
    parser.add_argument(
        "--drop-former", action="store_true", help="drop what is replaced at once, as after a restore"
    )
    parser.add_argument("--dry-run", action="store_true", help="only estimate time and disk space")


def _estimate(labels: list[str], output: Output) -> bool:
    estimates = {label: build_service.estimate(label) for label in labels}
    output.table(
        ["document", "items", "to encode", "about", "disk"],
        [
            (label, e.items, e.to_encode, timedelta(seconds=round(e.seconds)), f"{e.bytes / 1e6:.0f} MB")
            for label, e in estimates.items()
        ],
    )
    output.finish(estimates)
    return True


def _build(options: Options, output: Output) -> bool:
    labels = chosen_labels(options)
    if options["dry_run"]:
        return _estimate(labels, output)
    reports = {}
    for label in labels:
        with output.progress(f"build {label}") as progress:
            report = build_service.build(
                label,
                progress=progress,
                rebuild=options["rebuild"],
                promote=not options["no_promote"],
                keep_former=not options["drop_former"],
            )
        reports[label] = {
            "index_version": report.index_version.name,
            "created": report.created,
            "written": report.written,
            "encoded": report.encoded,
            "failed": report.failed,
        }
        state = "built" if report.created else "up to date"
        output.line(
            f"{label}: {state}, {report.written} written, {report.encoded} texts encoded, "
            f"{report.failed} failed ({report.index_version.name})"
        )
        if report.failed:
            output.line("  Failed items wait in the backlog with their error: `manage.py llmrec status`.")
    output.finish(reports)
    return not any(report["failed"] for report in reports.values())


def _drain_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--limit", type=int, metavar="N", help="stop after N entries")


def _drain(options: Options, output: Output) -> bool:
    for label, names in index_mending.mend_all().items():
        output.line(f"{label}: {', '.join(names)} could not be read and was replaced")
    erase_marked()
    events = site_sources.drain()
    with output.progress("drain", "entries") as progress:
        report = indexing.drain(limit=options["limit"], progress=progress)
    output.line(
        f"{report.entries} entries: {report.written} written, {report.removed} removed, "
        f"{report.encoded} texts encoded, {report.reused} reused, {report.failed} failed; "
        f"{report.remaining} remain"
    )
    if events.differences or events.failing:
        output.line(
            f"events of the site's rows: {events.added} added, {events.changed} changed, "
            f"{events.removed} removed, {len(events.failing)} failing"
        )
    output.finish({**jsonable(report), "events": jsonable(events)})
    return not report.failed and not events.failing


def _audit_arguments(parser: ArgumentParser) -> None:
    document_argument(parser)
    parser.add_argument("--repair", action="store_true", help="mend every difference found")


def _audit(options: Options, output: Output) -> bool:
    reports = {}
    for label in chosen_labels(options):
        report = audit_service.audit(label, repair=options["repair"])
        reports[label] = report
        differences = len(report.missing) + len(report.stale) + len(report.orphaned)
        output.line(
            f"{label}: {report.checked} checked, {len(report.missing)} missing, {len(report.stale)} stale, "
            f"{len(report.orphaned)} orphaned, {len(report.failing)} failing"
            + (f", {report.repaired} repaired" if options["repair"] else "")
        )
        if report.damaged:
            output.line(f"  Cannot be read: {', '.join(report.damaged)}.")
        if options["repair"] and report.damaged:
            index_mending.mend(label)
        if (differences or report.damaged) and not options["repair"]:
            output.line("  Run it again with --repair.")
    events = _audit_sources(options, output)
    output.finish({**reports, **events})
    indexes_are_well = all(
        not report.failing
        and (options["repair"] or not (report.missing or report.stale or report.orphaned or report.damaged))
        for report in reports.values()
    )
    return indexes_are_well and all(
        not report.failing and (options["repair"] or not report.differences) for report in events.values()
    )


def _audit_sources(options: Options, output: Output) -> dict[str, SourceReport]:
    """Compare the rows of interaction sources with their events, of all or of the chosen documents."""
    reports = {}
    for source in registry.interaction_sources:
        if options["document"] not in (None, source.document):
            continue
        report = reports[f"source:{source.label}"] = interactions.reconcile(source, mend=options["repair"])
        output.line(
            f"{source.label}: {report.checked} checked, {report.added} missing, {report.changed} stale, "
            f"{report.removed} orphaned, {len(report.failing)} failing"
            + (f", {report.differences} repaired" if options["repair"] else "")
        )
        if report.differences and not options["repair"]:
            output.line("  Run it again with --repair.")
    return reports


def _drop_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="of the index, as `status` and the admin show it")


def _drop(options: Options, output: Output) -> bool:
    version = IndexVersion.objects.filter(name=options["name"]).first()
    if version is None:
        raise NotFound(f'There is no index version "{options["name"]}".')
    dropped = retirement.drop(version)
    state = "dropped" if dropped else "is live, or was dropped before"
    output.line(f"{version.name}: {state}")
    output.finish({"index_version": version.name, "dropped": dropped})
    return dropped


def _status(options: Options, output: Output) -> bool:
    current = status.collect()
    for line in current.lines():
        output.line(line)
    documents = [
        {**jsonable(document), "ills": document.ills, "lag_seconds": document.lag_seconds}
        for document in current.documents
    ]
    summary = {"ready": current.ready, "healthy": current.healthy}
    output.finish({**jsonable(current), **summary, "documents": documents})
    return current.healthy


def _rename_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("old", help="label that no document has any more")
    parser.add_argument("new", help="label of the document that goes on with what was kept")


def _rename(options: Options, output: Output) -> bool:
    carried = renaming.rename_document(options["old"], options["new"])
    for table, count in carried.items():
        output.line(f"{table}: {count} carried")
    if not carried:
        output.line(f'Nothing is kept of "{options["old"]}".')
    output.finish(carried)
    return bool(carried)


COMMANDS = [
    Subcommand(
        "build", "Build or complete the index of each document and make it live.", _build_arguments, _build
    ),
    Subcommand(
        "drain", "Index what changed since, and follow the rows that tell events.", _drain_arguments, _drain
    ),
    Subcommand(
        "audit",
        "Compare the site with its indexes, and its rows with their events.",
        _audit_arguments,
        _audit,
    ),
    Subcommand(
        "drop", "End an index version that is not live, such as a damaged one.", _drop_arguments, _drop
    ),
    Subcommand(
        "rename-document", "Carry what is kept under one label to another.", _rename_arguments, _rename
    ),
    Subcommand("status", "Say what is live, what waits and what is ill.", no_arguments, _status),
]
