"""Real Celery workers and a real Redis: killed, stopped, frozen and back, while a site saves and searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import scenarios, servers

pytestmark = pytest.mark.crash


@pytest.fixture(params=["no server", "PostgreSQL and Elasticsearch"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """An empty database and an engine, as variables of the environment."""
    if request.param == "no server":
        return {"LLMREC_TEST_DB": str(tmp_path / "site.sqlite3")}
    with servers.obtained():
        engine = servers.elasticsearch(servers.OLDEST_ELASTICSEARCH)
    return {
        "LLMREC_TEST_DB": str(request.getfixturevalue("database")),
        "LLMREC_TEST_ELASTICSEARCH": engine.url,
    }


def run_scenario(
    folder: Path, *arguments: str, settings: str = "tests.worker_settings", **env: str
) -> dict[str, Any]:
    with servers.obtained():
        servers.new_redis().discard()
    return scenarios.run(
        "worker_processes",
        folder,
        *arguments,
        settings=settings,
        timeout=600,
        LLMREC_TEST_REDIS="redis://127.0.0.1:0",  # the scenario starts its own
        **env,
    )


def assert_nothing_differs(report: dict[str, Any]) -> None:
    assert not any(report["differences"].values()), report
    assert report["waiting"] == 0
    # what is indexed, listed and embedded are the site's items, each once
    for count in ("indexed", "listed", "distinct", "vectors"):
        assert report[count] == report["items"] > 20, report


def test_twenty_kills_of_processes_that_drain_lose_nothing(place: dict[str, str], tmp_path: Path) -> None:
    report = run_scenario(tmp_path, "killed", "20", **place)
    assert report["killed"] == 20
    assert report["saver_lived_and_left"]
    assert_nothing_differs(report)


def test_two_workers_and_a_rebuild_race_saves_and_deletes_and_lose_nothing(
    place: dict[str, str], tmp_path: Path
) -> None:
    report = run_scenario(tmp_path, "racing", **place)
    assert report["built"] == 2
    assert report["savers_lived_and_left"]
    assert_nothing_differs(report)


def test_without_redis_saves_and_searches_go_on_and_afterwards_nothing_is_missing(tmp_path: Path) -> None:
    report = run_scenario(tmp_path, "outage")
    for phase in ("before", "gone", "frozen", "back"):
        assert report[phase]["statuses"] == [200]
        # A frozen broker costs one save half a second, a frozen cache one request in two seconds a quarter;
        # what is usual stays within what a loaded machine adds.
        assert report[phase]["slowest_save"] < 3.0, report
        assert report[phase]["slowest_search"] < 3.0, report
        assert report[phase]["usual_save"] < 5 * report["before"]["usual_save"] + 0.05, report
        assert report[phase]["usual_search"] < 5 * report["before"]["usual_search"] + 0.05, report
    assert_nothing_differs(report)


def test_a_worker_that_is_told_to_stop_finishes_or_gives_back_what_it_claimed(tmp_path: Path) -> None:
    report = run_scenario(tmp_path, "asked")
    assert report == {"requeued": True, "status": 0, "finished": True, "left": 0}


def test_what_is_told_to_stop_while_a_transaction_begins_gives_back_as_well(tmp_path: Path) -> None:
    report = run_scenario(tmp_path, "ended", LLMREC_TEST_DB_ENGINE="tests.support.ended_at_begin")
    assert report == {"left": 0}


def test_a_task_whose_time_is_up_gives_back_what_it_claimed_and_blames_no_item(tmp_path: Path) -> None:
    report = run_scenario(tmp_path, "late")
    assert report["waits"] == report["expected"]
    assert report["alive"], "the process and its encoder are used again"


def test_the_schedule_in_the_database_is_written_once_and_edits_are_kept(tmp_path: Path) -> None:
    report = run_scenario(tmp_path, "beat")
    assert report["written"] == report["rows"] > 3
    assert report["runs"] > 0
    assert (report["every"], report["enabled"]) == (1, False)


def test_each_worker_of_the_readme_takes_the_tasks_of_its_queue(tmp_path: Path) -> None:
    report = run_scenario(tmp_path, "queues")
    assert report.keys() == {"index", "train", "default"}
    assert {*report["index"]} == {"drain_outbox", "audit_indexes", "audit_index"}
    assert report["train"] == ["fit_models"]
    assert report["default"] == ["apply_retention"]


def test_what_the_site_writes_over_is_back_in_a_moment(tmp_path: Path) -> None:
    with servers.obtained():
        server = servers.elasticsearch(servers.OLDEST_ELASTICSEARCH)
    report = run_scenario(
        tmp_path, "look", settings="tests.attached.worker_settings", LLMREC_TEST_ELASTICSEARCH=server.url
    )
    # 0.7 s and a little at rest; without a second look it would be the five minutes of the schedule
    assert len(report["gaps"]) > 2, "a machine at rest makes it eight times"
    assert sorted(report["gaps"])[len(report["gaps"]) // 2] < 3.0, report


def test_however_busy_a_site_is_no_more_than_one_message_waits(tmp_path: Path) -> None:
    report = run_scenario(tmp_path, "busy")
    assert report["saves"] > 50
    assert report["most"] <= 1, report
    assert_nothing_differs(report)
