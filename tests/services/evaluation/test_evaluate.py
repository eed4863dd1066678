"""`llmrec evaluate` on planted worlds whose answer is known, and what it leaves alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from llmrec_plugin.models import Evaluation, Interaction, Judgment
from llmrec_plugin.services import interactions, privacy
from llmrec_plugin.services.indexing.index_build import build
from tests.hostapp.models import Brand, Product

pytestmark = pytest.mark.django_db

FAMILIES = ["oak", "pine", "wool", "glass", "steel"]
THINGS = ["box", "cup", "bowl", "frame", "stool", "tray", "vase", "lamp"]
USERS = 40
START = datetime(2024, 1, 1, tzinfo=UTC)


def evaluate(*arguments: str | Path) -> str:
    out = StringIO()
    call_command("llmrec", "evaluate", *map(str, arguments), stdout=out)
    return out.getvalue()


def write(path: Path, rows: Iterable[Mapping[str, Any] | str]) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def catalogue() -> list[dict[str, Any]]:
    return [
        {"id": f"{family}-{thing}", "text": {"title": f"{family} {thing}", "description": f"{family} ware"}}
        for family in FAMILIES
        for thing in THINGS
    ]


def purchases() -> list[dict[str, Any]]:
    """Every user buys seven things of one family, one a day, each beginning with another thing."""
    return [
        {
            "user": f"u{user}",
            "item": f"{FAMILIES[user % len(FAMILIES)]}-{THINGS[(user + day) % len(THINGS)]}",
            "kind": "purchase",
            "time": (START + timedelta(days=day, minutes=user)).isoformat(),
        }
        for user in range(USERS)
        for day in range(7)
    ]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {
        "items": write(tmp_path / "items.jsonl", catalogue()),
        "interactions": write(tmp_path / "interactions.jsonl", purchases()),
    }


def everything_stored() -> dict[str, list[Any]]:
    models = apps.get_app_config("llmrec_plugin").get_models()
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}


def test_a_planted_world_is_measured_as_it_is_and_the_site_is_not_touched(
    files: dict[str, Path], tmp_path: Path, data_dir: Path
) -> None:
    product = Product.objects.create(title="kettle", brand=Brand.objects.create(name="Acme"), price=1)
    build("product")
    interactions.record(user_key="u1", document="product", item_id=product.pk, kind="purchase")
    before, kept = everything_stored(), sorted(data_dir.rglob("*"))
    bad: list[Any] = [
        "no json",
        {"user": "u1", "item": "oak-box", "kind": "purchase", "time": "2999-01-01T00:00:00Z"},
        {"user": "u1", "item": "gone", "kind": "purchase", "time": "2024-01-02T00:00:00Z"},
        purchases()[0],
    ]
    log = write(tmp_path / "log.jsonl", [*purchases(), *bad])
    report_file = tmp_path / "report.json"
    said = evaluate("--items", files["items"], "--interactions", log, "--output", report_file)

    report = json.loads(report_file.read_text(encoding="utf-8"))["recommendation"]
    assert report["protocol"] == "temporal"
    assert report["events"] == 280
    assert (report["items"], report["users"]) == (40, 40)
    # A tenth of 280 events is foreseen. Six things of the family are known, so that of eight two are left:
    # whoever sees the families places the target first or second.
    assert report["cases"]["all"] == 28
    for method in ("item-knn", "ease", "tf-idf", "text-frozen", "served"):
        assert report["methods"][method]["HR@10"] == 1.0, method
    assert report["methods"]["served"]["MRR"] >= 0.5
    # Forty things that sell alike: a rank among the 34 that are left is as good as drawn.
    assert report["methods"]["popularity"]["HR@10"] < 0.6
    assert report["slices"]["cold items"]["served"]["NDCG@10"] is None
    assert report["cases"]["cold items"] == 0
    assert report.keys() >= {"protocol", "events", "methods", "slices", "paired", "ladder", "fit_seconds"}
    assert list(report["methods"]) == [
        *("popularity", "recent popularity", "item-knn", "ease", "tf-idf", "text-frozen", "text-head"),
        *("text-ease", "served"),
    ]
    told = {"NDCG@10", "HR@10", "Recall@10", "MRR", "coverage", "novelty"}
    assert {frozenset(metrics) for metrics in report["methods"].values()} == {frozenset(told)}
    assert report["slices"].keys() >= {"cold items", "cold users", "tail"}
    compared = {"metric", "method", "baseline", "difference", "low", "high"}
    assert all(row.keys() >= compared for row in report["paired"])
    ahead = next(row for row in report["paired"] if row["baseline"] == "popularity")
    assert ahead["low"] > 0
    assert report["ladder"]["gate"] is None  # too few events to choose by
    assert report["fit_seconds"] > 0
    assert "interactions: 2 bad lines" in said
    assert "line 282: The time 2999-01-01T00:00:00+00:00 lies in the future." in said
    assert "interactions: 1 lines say what an earlier one said" in said
    assert "1 interactions are left out: unknown item." in said
    assert "served" in said

    assert everything_stored() == before
    assert sorted(data_dir.rglob("*")) == [*kept] or set(data_dir.rglob("*")) - set(kept) == {
        log,
        report_file,
    }


def test_the_last_event_of_each_user_can_be_foreseen_instead(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    evaluate(
        *("--items", files["items"], "--interactions", files["interactions"], "--output", out),
        *("--protocol", "last-out", "--limit-events", "15", "--language", "en"),
    )
    report = json.loads(out.read_text(encoding="utf-8"))["recommendation"]
    assert report["cases"]["all"] == 15
    assert report["methods"]["served"]["HR@10"] == 1.0


def test_judged_queries_are_answered_by_each_leg_and_encoders_compared(
    files: dict[str, Path], tmp_path: Path
) -> None:
    queries = write(
        tmp_path / "queries.jsonl", [{"id": "q1", "text": "oak box"}, {"id": "q2", "text": "lamp"}]
    )
    lamps = [f"q2 0 {family}-lamp 3" for family in FAMILIES]
    qrels = write(tmp_path / "qrels.txt", ["q1 0 oak-box 3", "q1 0 oak-cup 1", "q3 0 oak-box 1", *lamps])
    out = tmp_path / "report.json"
    said = evaluate(
        *("--items", files["items"], "--queries", queries, "--qrels", qrels, "--output", out),
        *("--encoder", "llmrec_plugin.encoders.hashing", "tests.support.steady_encoder"),
    )
    report = json.loads(out.read_text(encoding="utf-8"))
    assert set(report["search"]["methods"]) >= {"bm25", "vector", "rrf", "linear", "served"}
    # "oak box" and "lamp" name their items exactly, for words and for hashed words.
    assert report["search"]["methods"]["bm25"]["MRR"] == 1.0
    assert report["search"]["methods"]["served"]["Recall@100"] == 1.0
    assert report["search"]["queries"] == 2
    assert set(report["encoders"]) == {"llmrec_plugin.encoders.hashing", "tests.support.steady_encoder"}
    assert report["encoders"]["tests.support.steady_encoder"]["items_per_second"] > 0
    assert report["choice"]["encoder"] in report["encoders"]
    assert f"Take {report['choice']['encoder']}." in said
    assert f"Encoders: each by itself; the tables above are of {report['choice']['encoder']}" in said
    assert "qrels: 1 bad lines" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--interactions", "{interactions}"], "--interactions needs the items"),
        (["--document", "product"], "has no items with a text"),
        (["--items", "{items}", "--output", "{items}/report.json"], "cannot be written"),
        (["--items", "nowhere.jsonl", "--interactions", "nowhere.jsonl"], "there is no file"),
        (["--items", "{items}"], "nothing to measure by"),
        (
            ["--items", "{items}", "--interactions", "{interactions}", "--work", "{items}"],
            "cannot be worked in",
        ),
        (["--items", "{items}", "--queries", "{items}"], "give both"),
        (["--items", "{empty}", "--interactions", "{interactions}"], "is empty"),
        (["--items", "{interactions}", "--interactions", "{interactions}"], "no usable line"),
        (["--items", "{both}", "--interactions", "{interactions}"], r"--document film \| item"),
        (["--items", "{both}", "--interactions", "{interactions}", "--document", "x"], 'document "x"'),
        (
            ["--items", "{items}", "--interactions", "{interactions}", "--shares", "0.5", "0.5"],
            "below 1",
        ),
    ],
)
def test_what_cannot_be_measured_says_why(
    files: dict[str, Path], tmp_path: Path, arguments: list[str], message: str
) -> None:
    named = {
        **files,
        "empty": write(tmp_path / "empty.jsonl", []),
        "both": write(
            tmp_path / "both.jsonl", ({**catalogue()[0], "document": name} for name in ("item", "film"))
        ),
    }
    with pytest.raises(CommandError, match=message):
        evaluate(*(argument.format(**named) for argument in arguments))


def shop_with_events() -> None:
    """The planted world as rows of the host's own model."""
    brand = Brand.objects.create(name="Acme")
    titles = [item["text"]["title"] for item in catalogue()]
    products = {title: Product.objects.create(title=title, brand=brand, price=1) for title in titles}
    build("product")
    Interaction.objects.bulk_create(
        Interaction(
            user_key=row["user"],
            document="product",
            item_id=str(products[row["item"].replace("-", " ")].pk),
            kind=row["kind"],
            at=datetime.fromisoformat(row["time"]),
        )
        for row in purchases()
    )
    for title, product in products.items():
        Judgment.objects.create(
            query_id=title, query=title, document="product", item_id=str(product.pk), grade=3
        )


def test_the_site_itself_is_measured_on_a_copy_and_the_report_is_kept(tmp_path: Path) -> None:
    shop_with_events()
    privacy.set_consent("u0", granted=False)
    before = everything_stored()
    out = tmp_path / "report.json"
    said = evaluate("--document", "product", "--output", out)

    kept = Evaluation.objects.get()
    assert f"evaluation {kept.pk}" in said
    report = json.loads(out.read_text(encoding="utf-8"))
    assert kept.report == report
    assert report["recommendation"]["users"] == USERS - 1
    assert report["recommendation"]["methods"]["served"]["HR@10"] == 1.0
    assert report["search"]["methods"]["bm25"]["MRR"] == 1.0
    # The stored vectors were taken over with the items: nothing was encoded.
    assert report["encoder"]["encoded"] == 0
    assert "u1" not in json.dumps(report)
    after = everything_stored()
    del before["Evaluation"], after["Evaluation"]
    assert after == before


def test_a_site_without_events_and_judgements_cannot_be_measured() -> None:
    Product.objects.create(title="kettle", brand=Brand.objects.create(name="Acme"), price=1)
    with pytest.raises(CommandError, match="neither interactions of users who agreed nor judgements"):
        evaluate("--document", "product")


def ratings(days: int, value: Callable[[int, int], int]) -> list[dict[str, Any]]:
    """Each user rates one item a day; `value` of the numbers of both."""
    return [
        {
            "user": f"u{user}",
            "item": catalogue()[(user + 7 * day) % 40]["id"],
            "kind": "rating",
            "value": value(user, user + 7 * day),
            "time": (START + timedelta(days=day, minutes=user)).isoformat(),
        }
        for user in range(USERS)
        for day in range(days)
    ]


def test_ratings_are_foreseen_one_by_one(tmp_path: Path) -> None:
    """Whoever is even likes the even things and no others: the rating follows from what is known of both."""
    rows = ratings(25, lambda user, item: 5 if (user + item) % 2 == 0 else 2)
    out = tmp_path / "report.json"
    items = write(tmp_path / "items.jsonl", catalogue())
    said = evaluate("--items", items, "--interactions", write(tmp_path / "log.jsonl", rows), "--output", out)
    report = json.loads(out.read_text(encoding="utf-8"))["pointwise"]
    assert report["task"] == "rating >= 4"
    assert report["cases"] == 100
    assert report["methods"]["constant"]["AUC"] == 0.5
    assert report["methods"]["fused"]["accuracy"] > 0.9
    assert report["methods"]["fused"]["MSE"] < report["methods"]["constant"]["MSE"]
    assert set(report["sampled"]) == {"uniform", "popularity-matched"}
    assert "rating >= 4: 100 ratings foreseen" in said


def test_ratings_of_one_side_tell_nothing_apart_and_nobody_is_perfect(tmp_path: Path) -> None:
    rows = ratings(15, lambda user, item: 5)
    out = tmp_path / "report.json"
    items = write(tmp_path / "items.jsonl", catalogue())
    said = evaluate("--items", items, "--interactions", write(tmp_path / "log.jsonl", rows), "--output", out)
    report = json.loads(out.read_text(encoding="utf-8"))["pointwise"]
    assert report["one_class"]
    assert report["methods"]["constant"]["accuracy"] is None
    assert report["methods"]["fused"]["log-loss"] is None
    assert report["methods"]["fused"]["MSE"] == pytest.approx(0, abs=1e-6)
    assert "rating >= 4: all 60 ratings foreseen are on one side, nothing to tell apart" in said


def test_a_child_that_breaks_off_says_what_it_said_last(files: dict[str, Path]) -> None:
    with pytest.raises(CommandError, match="evaluation broke off"):
        evaluate(
            *("--items", files["items"], "--interactions", files["interactions"]),
            *("--encoder", "tests.support.ending_encoder"),
        )


def test_a_child_that_fails_tells_its_error(files: dict[str, Path], tmp_path: Path) -> None:
    alone = write(tmp_path / "alone.jsonl", [row for row in purchases() if row["user"] == "u1"])
    with pytest.raises(CommandError, match="All events are of one user"):
        evaluate("--items", files["items"], "--interactions", alone)


def stored(folder: Path, table: str) -> int:
    """Rows of the throwaway site."""
    with closing(sqlite3.connect(folder / "site.sqlite3")) as database:
        return int(database.execute(f"SELECT COUNT(*) FROM llmrec_plugin_{table}").fetchone()[0])


def test_what_nothing_can_be_foreseen_of_is_said_before_all_is_encoded(
    files: dict[str, Path], tmp_path: Path
) -> None:
    disliked = [{**row, "kind": "dismiss"} for row in purchases()[:3]]
    log = write(tmp_path / "log.jsonl", [*disliked, {**purchases()[0], "item": "gone"}])
    with pytest.raises(CommandError, match=r"no event in favour .*\(not in favour: 3, unknown item: 1\)"):
        evaluate("--items", files["items"], "--interactions", log, "--work", tmp_path / "work")
    (site,) = (tmp_path / "work").iterdir()
    assert (stored(site, "importeditem"), stored(site, "embedding")) == (40, 0)


def test_an_encoder_that_is_not_there_is_said_before_the_files_are_read(
    files: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match=r"nowhere\.at\.all"):
        evaluate(
            *("--items", files["items"], "--interactions", files["interactions"]),
            *("--encoder", "nowhere.at.all", "--work", tmp_path / "work"),
        )
    (site,) = (tmp_path / "work").iterdir()
    assert stored(site, "importeditem") == 0


def test_two_evaluations_do_not_share_a_folder(files: dict[str, Path], tmp_path: Path) -> None:
    import fcntl

    folder = tmp_path / "work" / "llmrec_plugin.encoders.hashing"
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CommandError, match="another evaluation works in"):
            evaluate(
                *("--items", files["items"], "--interactions", files["interactions"]),
                *("--encoder", "llmrec_plugin.encoders.hashing", "--work", tmp_path / "work"),
            )
    assert sorted(path.name for path in folder.iterdir()) == ["lock"]


def test_nothing_new_to_foresee_is_an_error(files: dict[str, Path], tmp_path: Path) -> None:
    again = [
        {**row, "item": f"oak-{THINGS[number % 2]}"}
        for number, row in enumerate(purchases())
        if row["user"] in "u1u2"
    ]
    log = write(tmp_path / "again.jsonl", again)
    with pytest.raises(CommandError, match="no item that is new to its user"):
        evaluate("--items", files["items"], "--interactions", log)
    assert not Interaction.objects.exists()
