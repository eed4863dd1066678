"""The whole loop of learning with a real worker, beat and Redis, and trainings that end in other ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import scenarios, servers

pytestmark = pytest.mark.crash


def run_scenario(folder: Path, name: str) -> dict[str, Any]:
    with servers.obtained():
        servers.new_redis().discard()
    return scenarios.run(
        "training_processes",
        folder,
        name,
        settings="tests.training_settings",
        LLMREC_TEST_REDIS="redis://127.0.0.1:0",  # the scenario starts its own
    )


def test_what_people_do_changes_the_lists_and_can_be_taken_back(tmp_path: Path) -> None:
    report = run_scenario(tmp_path, "loop")
    assert (report["state"], report["by"], report["gate"]) == ("done", "schedule", True)
    # Of eight recommended to a buyer of wool: wool by the texts, glass once it is known to follow.
    assert report["before"] > 4
    assert report["after"] > 4
    assert report["back"] > 4
    assert report["audit"] == [["command", "build"], ["schedule", "trained"], ["alice", "rollback"]]


def test_a_training_that_is_killed_leaves_the_live_model_alone_and_is_seen(tmp_path: Path) -> None:
    report = run_scenario(tmp_path, "killed")
    assert "killed by signal 9" in report["noticed"]
    assert "ended without a word" in report["lost"]
    assert report["untouched"]
    assert report["searched"]
    assert (report["next"], report["replaced"]) == ("done", True)


def test_a_full_disk_leaves_the_live_model_alone_and_is_seen(tmp_path: Path) -> None:
    report = run_scenario(tmp_path, "full")
    assert report["error"] == "OperationalError"
    assert "full" in report["shown"]
    assert report["untouched"]
    assert report["next"] == "done"
