"""Reads the public data sets that the benchmarks take as an argument; none is in the repository."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class JudgedShop:
    """Products with judged queries: (id, title, description) rows, and grades by query and product."""

    items: list[tuple[str, str, str]]
    grades: dict[str, dict[str, int]]


def chorus(folder: Path) -> JudgedShop:
    """Chorus electronics: 19,406 products and the graded (0 to 3) queries that have a relevant one."""
    with gzip.open(folder / "chorus_electronics" / "products.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    items = [
        (str(row["id"]), row.get("title") or row.get("name") or "", row.get("short_description") or "")
        for row in rows
    ]
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    with (folder / "chorus_electronics" / "judgments.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            grades[row["query"]][str(row["docid"])] = int(float(row["rating"]))
    return JudgedShop(items, {query: judged for query, judged in grades.items() if max(judged.values()) > 0})


def retail_titles(folder: Path) -> list[tuple[str, str, str]]:
    """Product descriptions of Online Retail, the most frequent one of each code."""
    names: dict[str, Counter[str]] = defaultdict(Counter)
    path = folder / "online_retail_uci" / "transactions.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            if row["Description"]:
                names[row["StockCode"]][row["Description"].strip()] += 1
    return [(code, counts.most_common(1)[0][0].title(), "") for code, counts in sorted(names.items())]


def catalogue(folder: Path, size: int) -> list[tuple[str, str, str]]:
    """`size` real products: Chorus, filled up with Online Retail."""
    items = [*chorus(folder).items, *retail_titles(folder)]
    if len(items) < size:
        raise SystemExit(f"Only {len(items)} products in {folder}; {size} were asked for.")
    return items[:size]
