"""Where the encoder puts the items, drawn as a map: whether what belongs together lies together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import Embedding
from llmrec_plugin.plots import Axis, Chart, Mark, Picture, Series
from llmrec_plugin.services.deployment.live import LivePair, find_live_pair
from llmrec_plugin.services.model_registry.artefacts import learned_by
from llmrec_plugin.suggest import hint
from llmrec_plugin.types import Matrix

MOST_TAKEN, MOST_NEW = 450, 150
"""Items that people took, the most popular first, and items that nobody took yet."""
MIN_ITEMS = 3
MAX_COLOURS = 7


def draw(label: str, *, colour: str = "") -> Picture | None:
    """Draw the two directions in which the texts differ most, one mark per item; None where there is nothing
    yet.

    Items are told apart by the filter field `colour`; empty: by whether people took them. Raises
    InvalidRequest for a field that the index has not.
    """
    pair = find_live_pair(label)
    if pair is None:
        return None
    known = pair.index_version.schema["filters"]
    if colour and colour not in known:
        raise InvalidRequest(f'"{label}" has no filter "{colour}". {hint(colour, known)}', parameter="colour")
    taken = dict(learned_by(pair.model_version).popular)
    vectors, items = _chosen(pair, taken)
    if len(items) < MIN_ITEMS:
        return None
    groups = _groups(registry.get(label), items, taken, colour)
    places = dict(zip(items, plane(np.stack([vectors[key] for key in items])).tolist(), strict=True))
    sizes = Counter(groups.values())
    named = sorted(sizes, key=lambda name: (-sizes[name], name))
    series = [
        Series(
            name=name,
            size=3,
            marks=[
                Mark(x=x, y=y, title=str(items[key])) for key, (x, y) in places.items() if groups[key] == name
            ],
        )
        for name in named
    ]
    chart = Chart(
        name=f"map-{label}",
        title=_("Map of the items: %(document)s") % {"document": label},
        description=_(
            "Items whose texts the encoder reads alike lie near each other; two of the many directions are "
            "shown."
        ),
        series=series,
        x=Axis(shown=False),
        y=Axis(shown=False),
        height=480,
    )
    rows = [(name, str(sizes[name])) for name in named]
    return Picture(chart=chart, header=(_("group"), _("items")), rows=rows)


def _chosen(pair: LivePair, taken: Mapping[str, float]) -> tuple[dict[str, Matrix], dict[str, Any]]:
    """Return vectors and rows of the items to be drawn, by key; only what the site shows."""
    version = pair.index_version
    rows = Embedding.objects.filter(document=version.document, encoder_id=version.encoder_id)
    keys = list(rows.order_by("item_id").values_list("item_id", flat=True))
    new = [key for key in keys if key not in taken][:MOST_NEW]
    chosen = [*list(taken)[:MOST_TAKEN], *new]
    vectors = {row.item_id: row.as_array() for row in rows.filter(item_id__in=chosen)}
    return vectors, registry.get(version.document).in_bulk(list(vectors))


def plane(vectors: Matrix) -> Matrix:
    """Return, in shape (n, 2), the two principal components of the rows, the largest part of each
    positive."""
    centred = vectors - vectors.mean(axis=0)
    _spread, axes = np.linalg.eigh(centred.T @ centred)
    two = axes[:, ::-1][:, :2]
    largest = two[np.abs(two).argmax(axis=0), np.arange(two.shape[1])]
    placed: Matrix = centred @ (two * np.sign(largest))
    return placed


def _groups(
    document: SearchDocument[Any], items: Mapping[str, Any], taken: Mapping[str, float], colour: str
) -> dict[str, str]:
    """Return by key what the item is told apart by; rare values are one group."""
    if not colour:
        return {key: _("people took it") if key in taken else _("nobody took it yet") for key in items}
    values = {key: _value(document, item, colour) for key, item in items.items()}
    common = {value for value, _count in Counter(values.values()).most_common(MAX_COLOURS)}
    return {key: value if value in common else _("other") for key, value in values.items()}


def _value(document: SearchDocument[Any], item: Any, colour: str) -> str:
    prepared = document.prepare(item)
    value = prepared.filters.get(colour) if prepared else None
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = next(iter(value), None)
    return "–" if value is None else str(value)
