"""Real processes, killed and not: nothing is lost, stale or double, and all see the same index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import scenarios


def run_scenario(folder: Path, *arguments: str) -> dict[str, Any]:
    return scenarios.run("processes", folder, *arguments)


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
