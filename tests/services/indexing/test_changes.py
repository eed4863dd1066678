"""A site changes its encoder, its fields and its dictionary in production, and no visitor notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import scenarios, servers

pytestmark = pytest.mark.crash


def test_encoder_fields_and_dictionary_change_under_load_without_a_gap(database: str, tmp_path: Path) -> None:
    with servers.obtained():
        servers.new_redis().discard()
    report = scenarios.run(
        "changes",
        tmp_path,
        settings="tests.changing.settings",
        timeout=600,
        LLMREC_TEST_DB=database,
        LLMREC_TEST_REDIS="redis://127.0.0.1:0",  # the scenario starts its own
        LLMREC_TEST_ELASTICSEARCH=servers.elasticsearch(servers.OLDEST_ELASTICSEARCH).url,
        LLMREC_TEST_CHANGES=str(tmp_path / "changes.json"),
    )
    # every search was answered in full, and by one space or the other, never by a query of one in the other
    assert report["statuses"] == [200]
    assert report["answers"].keys() == {"0", "1", "both"}, report["answers"]
    assert sum(report["answers"].values()) > 300
    # the build that was killed was gone on with, not begun anew
    encoder, mapping, dictionary = (report[name] for name in ("encoder", "mapping", "dictionary"))
    assert encoder["killed_in"] == encoder["built"]
    # a rollback holds from the next search on
    assert encoder["after_rollback"] == ["0"]
    # each change made one index, and replaced the one before
    names = [encoder["replaced"], encoder["built"], mapping["built"], dictionary["built"]]
    assert [mapping["replaced"], dictionary["replaced"]] == names[1:3]
    assert len(set(names)) == 4
    assert report["quantization"] == "hnsw"
    # what was replaced is gone once its grace time is over
    assert report["swept"] == {"before": 4, "after": [names[3]]}
    assert report["ready"] == [report["live"]] == [names[3]]
    # editors went on meanwhile, and nothing of it was lost
    assert report["editor_lived_and_left"]
    assert report["audit"]["checked"] > 100
    for difference in ("missing", "stale", "orphaned", "failing", "pending"):
        assert report["audit"][difference] == [], report
    assert report["waiting"] == 0
