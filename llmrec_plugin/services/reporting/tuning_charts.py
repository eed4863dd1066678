"""How the tuning of an encoder went, step by step: its losses and what they were worth, as charts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from llmrec_plugin.figures import figure
from llmrec_plugin.models import TunedEncoder
from llmrec_plugin.plots import Axis, Chart, Mark, Picture, Series, Threshold


def newest(label: str) -> Iterator[Picture]:
    """Return the curves of the encoder of the document that was tuned last; none where none was."""
    encoder = TunedEncoder.objects.filter(document=label).order_by("-id").first()
    return curves(encoder) if encoder else iter(())


def curves(encoder: TunedEncoder) -> Iterator[Picture]:
    """Draw the losses, and the metric on the later pairs; a curve without a step after the first is left
    out."""
    training = encoder.report.get("training", {})
    rows = training.get("curve", [])
    if any(row["step"] and row["valid_loss"] is not None for row in rows):
        yield _losses(encoder, rows)
    if any(row["step"] and row["metric"] is not None for row in rows):
        yield _worth(encoder, rows, training["metric"])


def _losses(encoder: TunedEncoder, rows: list[Mapping[str, Any]]) -> Picture:
    parts = (
        (_("on the pairs held back"), "valid_loss"),
        (_("on what is learned from, all tasks"), "train_loss"),
    )
    chart = Chart(
        name=f"tuning-{encoder.document}",
        title=_("Learning curve of the tuned encoder: %(document)s") % {"document": encoder.document},
        description=_(
            "The loss while the encoder was tuned, on later pairs held back and on what it learned from; "
            "lower is better. Where the first rises while the second falls, it learned by heart. The dashed "
            "line is the encoder as it was."
        ),
        series=[Series(name=name, line=True, marks=_marks(rows, column)) for name, column in parts],
        x=Axis(name=_("steps")),
        y=Axis(name=_("loss")),
        thresholds=_before(rows, "valid_loss"),
    )
    numbers = [(_whole(row["step"]), *(figure(row[column]) for _name, column in parts)) for row in rows]
    return Picture(chart=chart, header=(_("steps"), *(name for name, _column in parts)), rows=numbers)


def _worth(encoder: TunedEncoder, rows: list[Mapping[str, Any]], metric: str) -> Picture:
    chart = Chart(
        name=f"tuning-metric-{encoder.document}",
        title=_("%(metric)s while the encoder was tuned: %(document)s")
        % {"metric": metric, "document": encoder.document},
        description=_(
            "%(metric)s on the later pairs held back, by the texts alone; higher is better. The dashed line "
            "is the encoder as it was. Whether it is better for visitors is decided on events later still."
        )
        % {"metric": metric},
        series=(Series(name=metric, line=True, marks=_marks(rows, "metric")),),
        x=Axis(name=_("steps")),
        y=Axis(name=metric),
        thresholds=_before(rows, "metric"),
    )
    numbers = [(_whole(row["step"]), figure(row["metric"])) for row in rows]
    return Picture(chart=chart, header=(_("steps"), metric), rows=numbers)


def _marks(rows: list[Mapping[str, Any]], column: str) -> list[Mark]:
    return [
        Mark(x=row["step"], y=row[column], title=f"{_whole(row['step'])}: {row[column]:.4f}")
        for row in rows
        if row[column] is not None
    ]


def _before(rows: list[Mapping[str, Any]], column: str) -> tuple[Threshold, ...]:
    before = rows[0][column]
    return () if before is None else (Threshold(at=before, name=_("before")),)


def _whole(step: float) -> str:
    return str(int(step))
