"""What was released stays as it is, and a database of an earlier release goes on answering."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import llmrec_plugin
from tests.migrations.__main__ import HASHES, ROOT, dump_of, hashes
from tests.migrations.site import RENAMED

DUMPS = sorted(Path(__file__).parent.glob("filled-*.sql"))


def frozen() -> dict[str, str]:
    lines = HASHES.read_text(encoding="utf-8").splitlines()
    return {name: value for value, name in (line.split() for line in lines)}


def test_a_released_migration_is_never_changed() -> None:
    """A change of tables is a migration of its own. Before a release: `make freeze`."""
    now = hashes()
    assert {name: now.get(name, "is gone") for name in frozen()} == frozen()


def test_a_release_freezes_all_its_migrations_and_leaves_a_filled_database_behind() -> None:
    assert "llmrec_plugin/migrations/0001_initial.py" in frozen()
    if ".dev" not in llmrec_plugin.__version__:
        assert set(hashes()) == set(frozen())
        assert dump_of(llmrec_plugin.__version__) in DUMPS


@pytest.fixture(scope="module", params=DUMPS, ids=lambda path: path.stem)
def upgraded(request: pytest.FixtureRequest) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.migrations", "--upgrade", str(request.param)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


@pytest.mark.crash  # a process of its own
class TestAFilledDatabase:
    def test_every_table_kept_its_rows(self, upgraded: dict[str, Any]) -> None:
        # What waited is done.
        assert upgraded["tables without a row"] == ["SourceChange", "OutboxEntry"]

    def test_nothing_is_encoded_anew_but_what_was_changed(self, upgraded: dict[str, Any]) -> None:
        built = upgraded["built"]
        assert {label: report["written"] for label, report in built.items()} == {"course": 2, "product": 12}
        assert {label: report["encoded"] for label, report in built.items()} == {"course": 0, "product": 1}
        assert upgraded["renamed"][0] == RENAMED

    def test_indexes_equal_the_tables(self, upgraded: dict[str, Any]) -> None:
        for label in ("course", "product"):
            report = upgraded["audit"][label]
            assert [report[name] for name in ("missing", "stale", "orphaned", "failing", "pending")] == [
                []
            ] * 5

    def test_what_editors_decided_holds(self, upgraded: dict[str, Any]) -> None:
        assert upgraded["garden"][0] == "Flower pot"  # pinned
        assert upgraded["synonym"][0] == "Lawn mower"  # for sprinkler
        assert upgraded["window"]
        assert upgraded["freshness"] == 0.25
        assert upgraded["experiments"] == [["a trial", "running"]]

    def test_what_visitors_did_and_chose_is_known(self, upgraded: dict[str, Any]) -> None:
        assert upgraded["events of ann"] == 3
        assert upgraded["ben"] is False
        assert "Fountain pen" not in upgraded["for ann"]  # dismissed
        assert len(upgraded["for ann"]) == 11

    def test_what_was_learned_is_served(self, upgraded: dict[str, Any]) -> None:
        assert "Lawn mower" in upgraded["with the hose"][:3]
        assert upgraded["learned"] == ["product"]

    def test_every_page_of_the_admin_opens(self, upgraded: dict[str, Any]) -> None:
        assert len(upgraded["pages"]) > 40
        assert {address: status for address, status in upgraded["pages"].items() if status != 200} == {}
