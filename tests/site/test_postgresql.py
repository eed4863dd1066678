"""What only a server shows: migrations, claims that pass each other by, many drainers, kills.

The tests of the database's daily work run there by `make test-postgresql`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import scenarios
from tests.support.servers import OLDEST_ELASTICSEARCH, elasticsearch

DIFFERENCES = ("missing", "stale", "orphaned", "failing", "pending")


def run_scenario(database: str, folder: Path, module: str, *arguments: str) -> dict[str, Any]:
    return scenarios.run(module, folder, *arguments, LLMREC_TEST_DB=database)


def test_the_migrations_lead_from_an_empty_database_and_back(database: str, tmp_path: Path) -> None:
    report = run_scenario(database, tmp_path, "on_postgresql", "migrations")
    assert report["first"] > 5
    assert report["none"] == []
    assert report["again"]


def test_a_claim_passes_by_what_another_is_claiming(database: str, tmp_path: Path) -> None:
    report = run_scenario(database, tmp_path, "on_postgresql", "claims")
    assert report["returned"], "the second claim waited for the first one's transaction"
    assert len(report["first"]) == 20
    assert len(report["second"]) == 10
    assert not set(report["first"]) & set(report["second"])


@pytest.mark.crash
def test_four_drainers_share_the_work_and_do_nothing_twice(database: str, tmp_path: Path) -> None:
    report = run_scenario(database, tmp_path, "on_postgresql", "drainers", "4")
    # 240 new texts in 24 batches: each entry is one drainer's, and no drainer is left without
    assert sum(report["shares"]) == report["entries"]
    assert len(report["shares"]) == 4
    assert min(report["shares"]) > 0
    # the encoder alone takes 24 * 0.08 s = 1.9 s of one drainer and 0.5 s of four
    assert report["together"] < report["alone"], report
    assert report["drainers_failed"] == 0
    assert report["saver_lived_and_left"]
    for difference in DIFFERENCES:
        assert report[difference] == [], report
    assert report["waiting"] == 0
    for count in ("indexed", "listed", "distinct", "vectors"):
        assert report[count] == report["items"], report


@pytest.mark.crash
def test_kills_of_drains_and_builds_lose_nothing(database: str, tmp_path: Path) -> None:
    report = run_scenario(database, tmp_path, "processes", "crash", "10")
    assert report["killed"] == 10
    assert report["saver_lived_and_left"]
    for difference in DIFFERENCES:
        assert report[difference] == [], report
    assert report["waiting"] == 0
    assert report["indexed"] == report["distinct"] == report["vectors"] == report["items"] > 50, report


def test_after_a_restore_from_an_older_dump_a_rebuild_makes_the_index_right(
    database: str, tmp_path: Path
) -> None:
    report = scenarios.run(
        "on_postgresql",
        tmp_path,
        "restored",
        LLMREC_TEST_DB=database,
        LLMREC_TEST_ELASTICSEARCH=elasticsearch(OLDEST_ELASTICSEARCH).url,
    )
    # the index is ahead: it refuses the change of today, lacks three lamps and has three comets too many
    assert report["refused"] > 0
    assert report["before"] == [3, 3]
    # the new one is made of stored vectors, but for the one text that is new
    assert report["encoded"] <= 1
    assert report["items"] == 20
    assert report["differences"] == []
    assert (report["waiting"], report["indexes"]) == (0, 1)
    assert (report["comets"], report["torches"]) == (0, 1)
