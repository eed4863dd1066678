"""The compact file of the shop's purchases: integer columns as text, one per line, compressed with xz.

Sorted columns are written as differences, which is what makes 388,000 lines fit into about a megabyte.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice, pairwise
from pathlib import Path

_COLUMNS = ("start", "number", "minute", "customer", "size", "product", "quantity")


@dataclass(frozen=True, slots=True)
class PurchasedLine:
    product: int
    """Row of the products file, counted from 0."""
    quantity: int


@dataclass(frozen=True, slots=True)
class Purchase:
    """One invoice; its lines are sorted by product, each product once."""

    number: int
    at: datetime
    """Aware, to the minute."""
    customer: int
    lines: tuple[PurchasedLine, ...]


def write_purchases(path: Path, purchases: Sequence[Purchase]) -> None:
    """Write purchases that are sorted by number; the bytes depend on nothing but the purchases."""
    start = min(purchase.at for purchase in purchases)
    minutes = [int((purchase.at - start).total_seconds()) // 60 for purchase in purchases]
    columns: dict[str, Iterable[int]] = {
        "start": [int(start.timestamp())],
        "number": _differences([purchase.number for purchase in purchases]),
        "minute": _differences(minutes),
        "customer": (purchase.customer for purchase in purchases),
        "size": (len(purchase.lines) for purchase in purchases),
        "product": (
            step for purchase in purchases for step in _differences([line.product for line in purchase.lines])
        ),
        "quantity": (line.quantity for purchase in purchases for line in purchase.lines),
    }
    text = "".join(f"{name} {' '.join(map(str, columns[name]))}\n" for name in _COLUMNS)
    path.write_bytes(lzma.compress(text.encode("ascii"), preset=9 | lzma.PRESET_EXTREME))


def read_purchases(path: Path) -> Iterator[Purchase]:
    """The purchases in the order they were written; ValueError when the file is not one of ours."""
    columns = _read_columns(path)
    start = datetime.fromtimestamp(columns["start"][0], tz=UTC)
    products, quantities = iter(columns["product"]), iter(columns["quantity"])
    heads = zip(
        accumulate(columns["number"]),
        accumulate(columns["minute"]),
        columns["customer"],
        columns["size"],
        strict=True,
    )
    for number, minute, customer, size in heads:
        rows = accumulate(islice(products, size))
        lines = tuple(map(PurchasedLine, rows, islice(quantities, size)))
        yield Purchase(number, start + timedelta(minutes=minute), customer, lines)


def _read_columns(path: Path) -> dict[str, list[int]]:
    rows = [line.split() for line in lzma.decompress(path.read_bytes()).decode("ascii").splitlines()]
    if [row[:1] for row in rows] != [[name] for name in _COLUMNS]:
        raise ValueError(f"{path} does not hold the columns {', '.join(_COLUMNS)}.")
    return {row[0]: [int(value) for value in row[1:]] for row in rows}


def _differences(values: Sequence[int]) -> list[int]:
    return [*values[:1], *(after - before for before, after in pairwise(values))]
