"""`python -m benchmarks.files --data FOLDER --output FOLDER [NAME …]`: the public data sets as files for
`manage.py llmrec evaluate`, one folder each."""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import data

Rows = Iterable[Mapping[str, Any]]
START = datetime(2018, 1, 1, tzinfo=UTC)
"""Of sets that only know an order."""


def _csv(path: Path, **options: Any) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", errors="replace", newline="") as file:
        yield from csv.DictReader(file, **options)


def _write(path: Path, rows: Rows) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _item(key: str, **text: str | None) -> dict[str, Any]:
    return {"id": key, "text": {name: value for name, value in text.items() if value}}


def _event(user: str, item: str, kind: str, at: datetime, **more: Any) -> dict[str, Any]:
    return {"user": user, "item": item, "kind": kind, "time": at.isoformat(), **more}


def _seconds(timestamp: str) -> datetime:
    return datetime.fromtimestamp(float(timestamp), UTC)


def industrial(folder: Path, out: Path) -> None:
    """Amazon Industrial: title and brand. Before the published windows only the order within a user is known,
    so an event gets the time of its place there."""
    folder = folder / "amazon_industrial"
    with gzip.open(folder / "items.jsonl.gz", "rt", encoding="utf-8") as lines:
        items = [json.loads(line) for line in lines]
    _write(
        out / "items.jsonl",
        (_item(str(item["item_id"]), title=item["title"], brand=item["brand"]) for item in items),
    )
    rows = sorted(
        _csv(folder / "interactions.csv.gz"),
        key=lambda row: float(row["row"] or -1e6 + int(row["position"])),
    )
    _write(
        out / "interactions.jsonl",
        (
            _event(row["user_id"], row["item_id"], "purchase", START + timedelta(minutes=place))
            for place, row in enumerate(rows)
        ),
    )


def retail(folder: Path, out: Path) -> None:
    """Online Retail: the first purchase of an item by a customer, to the minute."""
    titles = {code: title for code, title, _ in data.retail_titles(folder)}
    firsts: dict[tuple[str, str], datetime] = {}
    for row in _csv(folder / "online_retail_uci" / "transactions.csv.gz"):
        code = row["StockCode"]
        if row["CustomerID"] and row["InvoiceNo"][0] != "C" and code in titles and code[0].isdigit():
            at = datetime.fromisoformat(row["InvoiceDate"]).replace(tzinfo=UTC)
            pair = row["CustomerID"], code
            firsts[pair] = min(at, firsts.get(pair, at))
    _write(
        out / "items.jsonl",
        (_item(code, title=titles[code]) for code in sorted({code for _, code in firsts})),
    )
    _write(
        out / "interactions.jsonl",
        (_event(user, code, "purchase", at) for (user, code), at in sorted(firsts.items(), key=_by_time)),
    )


def _by_time(entry: tuple[tuple[str, str], datetime]) -> datetime:
    return entry[1]


def courses(folder: Path, out: Path) -> None:
    """Udemy courses: the slug is the title, with the categories."""
    folder = folder / "coco_udemy"
    slugs = {row["course_id"]: row["slug"] for row in _csv(folder / "courses.csv.gz")}
    categories: dict[str, list[str]] = defaultdict(list)
    for row in _csv(folder / "course_attributes.csv.gz"):
        if row["relation"] == "belong_to_category":
            categories[row["course_id"]].append(row["value"])
    rows = [row for row in _csv(folder / "interactions.csv.gz") if row["course_id"] in slugs]
    _write(
        out / "items.jsonl",
        (
            _item(course, title=slugs[course].replace("-", " "), category=", ".join(categories[course]))
            for course in sorted({row["course_id"] for row in rows})
        ),
    )
    _write(
        out / "interactions.jsonl",
        (_event(row["user_id"], row["course_id"], "enrol", _seconds(row["timestamp"])) for row in rows),
    )


def films(folder: Path, out: Path) -> None:
    """MovieLens 100k: ratings; title and genres."""
    folder = folder / "movielens"
    _write(
        out / "items.jsonl",
        (
            _item(row["item_id:token"], title=row["movie_title:token_seq"], genres=row["class:token_seq"])
            for row in _csv(folder / "ml-100k.item.gz", delimiter="\t")
        ),
    )
    _write(
        out / "interactions.jsonl",
        (
            _event(
                row["user_id:token"],
                row["item_id:token"],
                "rating",
                _seconds(row["timestamp:float"]),
                value=float(row["rating:float"]),
            )
            for row in _csv(folder / "ml-100k.inter.gz", delimiter="\t")
        ),
    )


LECTURES = 40
"""Names of lectures that make up a Chinese course's text."""


def chinese_courses(folder: Path, out: Path) -> None:
    """Hahow: sub-categories, chapters and the first lectures. Only the two months of the purchases are known:
    users are spread over them in the order of the file, for the protocol last-out."""
    folder = folder / "hahow_zh"
    chapters: dict[str, dict[str, None]] = defaultdict(dict)
    lectures: dict[str, list[str]] = defaultdict(list)
    for row in _csv(folder / "course_chapter_items.csv.gz"):
        chapters[row["course_id"]][row["chapter_name"]] = None
        lectures[row["course_id"]].append(row["chapter_item_name"])
    with (folder / "course_subgroups_derived.csv").open(encoding="utf-8", newline="") as file:
        topics = {row["course_id"]: row["subgroup_names"] for row in csv.DictReader(file)}
    _write(
        out / "items.jsonl",
        (
            _item(
                course,
                topics=topics.get(course),
                chapters=" ".join(chapters[course]),
                lectures=" ".join(lectures[course][:LECTURES]),
            )
            for course in sorted(chapters)
        ),
    )
    _write(
        out / "interactions.jsonl",
        (
            _event(row["user_id"], course, "enrol", START + timedelta(minutes=11 * number + place / 100))
            for number, row in enumerate(_csv(folder / "val_seen.csv.gz"))
            for place, course in enumerate(row["course_id"].split())
        ),
    )


def electronics(folder: Path, out: Path) -> None:
    """Chorus: products with judged queries."""
    shop = data.chorus(folder)
    _write(
        out / "items.jsonl", (_item(key, title=title, description=text) for key, title, text in shop.items)
    )
    numbers = {query: f"q{number}" for number, query in enumerate(shop.grades, start=1)}
    _write(out / "queries.jsonl", ({"id": numbers[query], "text": query} for query in shop.grades))
    lines = [
        f"{numbers[query]} 0 {key} {grade}\n"
        for query, judged in shop.grades.items()
        for key, grade in judged.items()
    ]
    (out / "qrels.txt").write_text("".join(lines), encoding="utf-8")


SETS: dict[str, Callable[[Path, Path], None]] = {
    "amazon_industrial": industrial,
    "online_retail_uci": retail,
    "coco_udemy": courses,
    "movielens": films,
    "hahow_zh": chinese_courses,
    "chorus_electronics": electronics,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *SETS], metavar="NAME", help="default: all")
    parser.add_argument("--data", type=Path, required=True, help="folder with the public data sets")
    parser.add_argument("--output", type=Path, required=True, help="folder for the files")
    options = parser.parse_args()
    for name in options.names or SETS:
        out = options.output / name
        out.mkdir(parents=True, exist_ok=True)
        SETS[name](options.data, out)
        print(out)


if __name__ == "__main__":
    main()
