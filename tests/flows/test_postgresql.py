"""What only a server shows: migrations, claims that pass each other by, many drainers, kills.

The tests of the database's daily work run there by `make test-postgresql`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers import postgresql

DATABASE = "llmrec_scenario"
DIFFERENCES = ("missing", "stale", "orphaned", "failing", "pending")


@pytest.fixture
def database() -> Iterator[str]:
    """The url of an empty database."""
    url = postgresql().url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE}")
        yield url.rpartition("/")[0] + "/" + DATABASE
        connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def run_scenario(database: str, folder: Path, module: str, *arguments: str) -> dict[str, Any]:
    process = subprocess.run(
        [sys.executable, "-m", f"tests.flows.{module}", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "LLMREC_TEST_DB": database,
            "LLMREC_TEST_DATA": str(folder),
        },
    )
    assert process.returncode == 0, process.stderr
    report: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return report


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
