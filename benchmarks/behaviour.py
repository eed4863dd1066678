"""Reads the public data sets that hold what people took: texts of items, events and their windows."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import data
from llmrec_plugin.evaluation.protocol import Events, Split, temporal_split

TEXT_LENGTH = 400
Site = tuple[list[str], Events, Split]
"""Texts of the items, events and their windows."""


def _rows(path: Path, *, delimiter: str = ",") -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def _numbered(
    users: Sequence[str], items: Sequence[str], times: Sequence[float], known: Sequence[str]
) -> Events:
    user_rows = {user: row for row, user in enumerate(dict.fromkeys(users))}
    item_rows = {item: row for row, item in enumerate(known)}
    kept = [place for place, item in enumerate(items) if item in item_rows]
    return Events.of(
        [user_rows[users[place]] for place in kept],
        [item_rows[items[place]] for place in kept],
        [times[place] for place in kept],
    )


def _industrial_items(folder: Path) -> list[dict[str, str]]:
    with gzip.open(folder / "amazon_industrial" / "items.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def industrial(folder: Path) -> Site:
    """Amazon Industrial: the published windows; before them only the order within a user is known."""
    items = _industrial_items(folder)
    rows = _rows(folder / "amazon_industrial" / "interactions.csv.gz")
    rows.sort(key=lambda row: float(row["row"] or -1e6 + int(row["position"])))
    events = _numbered(
        [row["user_id"] for row in rows],
        [row["item_id"] for row in rows],
        list(range(len(rows))),
        [str(item["item_id"]) for item in items],
    )
    first = sum(row["phase"] == "history" for row in rows)
    second = first + sum(row["phase"] == "valid" for row in rows)
    split = Split(slice(0, first), slice(first, second), slice(second, len(rows)))
    return [f"{item['title']} {item['brand'] or ''}" for item in items], events, split


def retail(folder: Path) -> Site:
    """Online Retail: first purchases of an item by a customer, to the minute."""
    titles = {code: title for code, title, _ in data.retail_titles(folder)}
    firsts: dict[tuple[str, str], float] = {}
    for row in _rows(folder / "online_retail_uci" / "transactions.csv.gz"):
        code = row["StockCode"]
        if (
            row["CustomerID"]
            and not row["InvoiceNo"].startswith("C")
            and code in titles
            and code[0].isdigit()
        ):
            at = datetime.fromisoformat(row["InvoiceDate"]).timestamp()
            pair = row["CustomerID"], code
            firsts[pair] = min(at, firsts.get(pair, at))
    known = sorted({code for _, code in firsts})
    events = _numbered([u for u, _ in firsts], [i for _, i in firsts], list(firsts.values()), known)
    return [titles[code] for code in known], events, temporal_split(events)


def courses(folder: Path) -> Site:
    """Udemy courses: the slug, which is the title, and the categories."""
    categories: dict[str, list[str]] = defaultdict(list)
    for row in _rows(folder / "coco_udemy" / "course_attributes.csv.gz"):
        if row["relation"] == "belong_to_category":
            categories[row["course_id"]].append(row["value"])
    slugs = {row["course_id"]: row["slug"] for row in _rows(folder / "coco_udemy" / "courses.csv.gz")}
    rows = _rows(folder / "coco_udemy" / "interactions.csv.gz")
    known = sorted({row["course_id"] for row in rows} & slugs.keys())
    events = _numbered(
        [row["user_id"] for row in rows],
        [row["course_id"] for row in rows],
        [float(row["timestamp"]) for row in rows],
        known,
    )
    texts = [" ".join([slugs[course], *categories[course]]).replace("-", " ") for course in known]
    return texts, events, temporal_split(events)


def chinese_courses(folder: Path) -> Site:
    """Hahow, purchases of two months: the last course of a user is foreseen, the one before it chosen by, for
    only the order within a user is known. Texts: subjects and names of chapters and lectures."""
    folder = folder / "hahow_zh"
    names: dict[str, dict[str, None]] = defaultdict(dict)
    with (folder / "course_subgroups_derived.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            names[row["course_id"]][row["subgroup_names"]] = None
    for row in _rows(folder / "course_chapter_items.csv.gz"):
        names[row["course_id"]][row["chapter_name"]] = None
        names[row["course_id"]][row["chapter_item_name"]] = None
    bought = {row["user_id"]: row["course_id"].split() for row in _rows(folder / "val_seen.csv.gz")}
    rows = []
    for user, courses in bought.items():
        held = [*[0] * (len(courses) - 2), 1, 2] if len(courses) > 2 else [0, 2][: len(courses)]
        rows += [
            (window + place / len(courses), user, course)
            for place, (window, course) in enumerate(zip(held, courses, strict=True))
        ]
    rows.sort()
    known = sorted(names)
    events = _numbered(
        [user for _, user, _ in rows], [course for *_, course in rows], [at for at, *_ in rows], known
    )
    first, second = (int((events.times < window).sum()) for window in (1, 2))
    texts = [" ".join(names[course])[:TEXT_LENGTH] for course in known]
    return texts, events, Split(slice(0, first), slice(first, second), slice(second, len(events)))


LIKED = 4.0


def film_ratings(folder: Path) -> tuple[list[str], Events, NDArray[np.float32]]:
    """MovieLens 100k: title and genres of each film, who rated it when, and the ratings, 1..5."""
    folder = folder / "movielens"
    films = _rows(folder / "ml-100k.item.gz", delimiter="\t")
    texts = [f"{film['movie_title:token_seq']} {film['class:token_seq']}" for film in films]
    rows = _rows(folder / "ml-100k.inter.gz", delimiter="\t")
    rows.sort(key=lambda row: float(row["timestamp:float"]))
    events = _numbered(
        [row["user_id:token"] for row in rows],
        [row["item_id:token"] for row in rows],
        [float(row["timestamp:float"]) for row in rows],
        [film["item_id:token"] for film in films],
    )
    return texts, events, np.array([row["rating:float"] for row in rows], np.float32)


def films(folder: Path) -> Site:
    """MovieLens 100k: what was rated with 4 or 5."""
    texts, rated, values = film_ratings(folder)
    liked = values >= LIKED
    events = Events(rated.users[liked], rated.items[liked], rated.times[liked])
    return texts, events, temporal_split(events)


SITES: dict[str, Callable[[Path], Site]] = {"industrial": industrial, "retail": retail, "courses": courses}


def published_rows(folder: Path) -> list[tuple[list[int], int]]:
    """The test rows of a published comparison (MiniOneRec, Industrial): the last ten items and the next."""
    items = [str(item["item_id"]) for item in _industrial_items(folder)]
    place = {item: row for row, item in enumerate(items)}
    found = []
    for row in _rows(folder / "amazon_industrial" / "sequences.csv.gz"):
        if row["split"] == "test":
            past = [place[str(item)] for item in json.loads(row["history_item_id"])]
            found.append((past, place[row["item_id"]]))
    return found
