"""Real processes, killed and not: nothing is lost, stale or double, and all see the same index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run_scenario(folder: Path, *arguments: str) -> dict[str, Any]:
    process = subprocess.run(
        [sys.executable, "-m", "tests.flows.processes", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "LLMREC_TEST_DB": str(folder / "site.sqlite3"),
            "LLMREC_TEST_DATA": str(folder / "indexes"),
        },
    )
    assert process.returncode == 0, process.stderr
    report: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return report


@pytest.mark.crash
def test_twenty_kills_of_drains_and_builds_lose_nothing(tmp_path: Path) -> None:
    report = run_scenario(tmp_path, "crash", "20")
    assert report["killed"] == 20
    assert report["saver_lived_and_left"]
    assert report["items"] > 50
    for difference in ("missing", "stale", "orphaned", "failing", "pending"):
        assert report[difference] == [], report
    # nothing waits, and what is indexed, listed and embedded are the site's items, each once
    assert report["waiting"] == 0
    for count in ("indexed", "listed", "distinct", "vectors"):
        assert report[count] == report["items"], report


@pytest.mark.crash
def test_a_web_process_sees_what_a_worker_indexed_within_a_second(tmp_path: Path) -> None:
    report = run_scenario(tmp_path, "freshness")
    assert report["worst"] < 1.0
    assert report["listed"] == report["expected"]
