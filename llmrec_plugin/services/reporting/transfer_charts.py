"""What a source was worth to a site, by how much the site knew itself, as a chart."""

from __future__ import annotations

from django.utils.translation import gettext as _

from llmrec_plugin.plots import Axis, Chart, Mark, Picture, Series, Threshold
from llmrec_plugin.services.model_registry.training_report import newest_transferred


def newest(label: str) -> Picture | None:
    """Return the learning curves of the version that was learned from a source last; None where none was, or
    there were no events to measure by."""
    report = newest_transferred(label)
    found = report.transfer if report else None
    if found is None or not found.curve:
        return None
    parts = (
        (_("from nothing"), [point.nothing for point in found.curve]),
        (_("from the source"), [point.source for point in found.curve]),
    )
    sizes = [f"{point.events:,}" for point in found.curve]
    chart = Chart(
        name=f"transfer-{label}",
        title=_("Learning from another site: %(document)s") % {"document": label},
        description=_(
            "NDCG@10 of likeness alone on the latest events, by the number of own events learned from; "
            "the dashed line is the texts as the encoder reads them."
        ),
        series=[
            Series(
                name=name,
                line=True,
                marks=[
                    Mark(x=place, y=value, title=f"{name}, {sizes[place]}: {value:.4f}")
                    for place, value in enumerate(values)
                ],
            )
            for name, values in parts
        ],
        x=Axis(name=_("own events"), ticks=dict(enumerate(sizes))),
        y=Axis(name="NDCG@10", low=0.0),
        thresholds=() if found.frozen is None else (Threshold(at=found.frozen, name=_("as they are")),),
    )
    rows = [
        (size, f"{point.nothing:.4f}", f"{point.source:.4f}")
        for size, point in zip(sizes, found.curve, strict=True)
    ]
    return Picture(chart=chart, header=(_("own events"), *(name for name, _values in parts)), rows=rows)
