"""What a source was worth to a site, by how much the site knew itself, as a chart."""

from __future__ import annotations

from django.utils.translation import gettext as _

from llmrec_plugin.models import ModelVersion
from llmrec_plugin.plots import Axis, Chart, Mark, Picture, Series, Threshold


def newest(label: str) -> Picture | None:
    """The learning curves of the version that was learned from a source last; None where none was, or there
    were no events to measure by."""
    version = ModelVersion.objects.filter(document=label, report__has_key="transfer").order_by("-id").first()
    found = version.report["transfer"] if version else {}
    if not found.get("curve"):
        return None
    parts = ((_("from nothing"), "nothing"), (_("from the source"), "source"))
    sizes = [f"{point['events']:,}" for point in found["curve"]]
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
                    Mark(x=place, y=point[part], title=f"{name}, {sizes[place]}: {point[part]:.4f}")
                    for place, point in enumerate(found["curve"])
                ],
            )
            for name, part in parts
        ],
        x=Axis(name=_("own events"), ticks=dict(enumerate(sizes))),
        y=Axis(name="NDCG@10", low=0.0),
        thresholds=() if found["frozen"] is None else (Threshold(at=found["frozen"], name=_("as they are")),),
    )
    rows = [
        (size, *(f"{point[part]:.4f}" for _name, part in parts))
        for size, point in zip(sizes, found["curve"], strict=True)
    ]
    return Picture(chart=chart, header=(_("own events"), *(name for name, _part in parts)), rows=rows)
