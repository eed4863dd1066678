"""What only the embedded engine has: files, their damage, tombstones, and vectors held in memory."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from llmrec_plugin.backends.embedded import SearchBackend, cache, engine, matrix
from llmrec_plugin.backends.embedded.schema import LAYOUT, read_state
from llmrec_plugin.contracts.backend_model import SCHEMA, document, keys, unit, words
from llmrec_plugin.exceptions import BackendUnavailable, IndexConflict, NotFound
from llmrec_plugin.types import EngineQuery, Removal, Terms

NAME = "llmrec-files"


@pytest.fixture
def backend() -> SearchBackend:
    backend = SearchBackend({})
    backend.create_index(NAME, SCHEMA)
    return backend


@pytest.fixture
def file(data_dir: Path) -> Path:
    return data_dir / "index" / f"{NAME}.sqlite3"


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection


def near(backend: SearchBackend, **query: Any) -> list[str]:
    return keys(backend.search(NAME, EngineQuery(vector=unit(1), **query)).vector)


def found(backend: SearchBackend, *terms: str, **query: Any) -> list[str]:
    return keys(backend.search(NAME, EngineQuery(text=words(*terms), **query)).text)


def test_a_new_data_folder_is_no_part_of_the_sites_repository(tmp_path: Path) -> None:
    site = tmp_path / "site"
    with override_settings(BASE_DIR=site, LLMREC={**django_settings.LLMREC, "DATA_DIR": ""}):
        SearchBackend({}).create_index(NAME, SCHEMA)
    assert (site / ".llmrec" / ".gitignore").read_text() == "*\n"
    subprocess.run(["git", "init", "--quiet", str(site)], check=True)
    (site / "page.txt").write_text("of the site")
    told = subprocess.run(
        ["git", "-C", str(site), "status", "--porcelain", "--untracked-files=all"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["??", "page.txt"]


def test_a_data_folder_that_was_there_is_left_as_it_is(backend: SearchBackend, data_dir: Path) -> None:
    assert [path.name for path in data_dir.iterdir()] == ["index"]


def test_a_damaged_file_is_reported_with_the_cure_and_can_be_dropped(
    backend: SearchBackend, file: Path
) -> None:
    backend.write(NAME, [document("1", "red")])
    SearchBackend({}).search(NAME, EngineQuery())
    file.write_bytes(b"not a database at all" * 500)
    fresh = SearchBackend({})
    for call in (
        lambda: fresh.search(NAME, EngineQuery()),
        fresh.check,
        lambda: fresh.create_index(NAME, SCHEMA),
    ):
        with pytest.raises(BackendUnavailable, match=r"damaged: a worker or `manage.py llmrec build` makes"):
            call()
    assert fresh.index_names() == [NAME]
    fresh.drop_index(NAME)
    fresh.create_index(NAME, SCHEMA)
    fresh.check()


def test_a_write_that_another_process_holds_up_too_long_says_so(backend: SearchBackend, file: Path) -> None:
    hurried = SearchBackend({"busy_timeout": 0.05})
    with opened(file) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendUnavailable, match="busy_timeout"):
            hurried.write(NAME, [document("1")])
        assert hurried.count(NAME) == 0  # reading goes on
    assert hurried.write(NAME, [document("1")]).written == 1


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file")
    with override_settings(LLMREC={**django_settings.LLMREC, "DATA_DIR": tmp_path / "occupied"}):
        backend = SearchBackend({})
        for call in (backend.check, lambda: backend.create_index(NAME, SCHEMA), lambda: backend.count(NAME)):
            with pytest.raises(BackendUnavailable, match="occupied"):
                call()


def test_an_engine_without_a_folder_yet_is_usable_and_has_no_index() -> None:
    backend = SearchBackend({})
    backend.check()
    backend.drop_index(NAME)
    assert backend.index_names() == []
    with pytest.raises(NotFound):
        backend.count(NAME)


def test_an_old_sqlite_is_refused_with_the_version_that_is_needed(
    backend: SearchBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_MIN_SQLITE", (99, 0, 0))
    with pytest.raises(BackendUnavailable, match=r"needs 99\.0\.0 or newer"):
        backend.check()


def test_a_file_whose_maker_died_is_no_index_and_is_made_by_the_next(data_dir: Path, file: Path) -> None:
    file.parent.mkdir()
    file.touch()
    backend = SearchBackend({})
    assert backend.index_names() == []
    with pytest.raises(NotFound):
        backend.write(NAME, [document("1")])
    backend.create_index(NAME, SCHEMA)
    assert backend.index_names() == [NAME]


def test_a_log_without_its_database_does_not_get_into_a_new_one(backend: SearchBackend, file: Path) -> None:
    backend.write(NAME, [document("old")])
    log = Path(f"{file}-wal")
    content = log.read_bytes()
    backend.drop_index(NAME)
    log.write_bytes(content)
    backend.create_index(NAME, SCHEMA)
    assert backend.count(NAME) == 0


def test_a_file_of_another_layout_is_to_be_built_anew(backend: SearchBackend, file: Path) -> None:
    with opened(file) as other:
        other.execute("UPDATE about SET layout = ?", (LAYOUT + 1,))
    with pytest.raises(BackendUnavailable, match=r"manage\.py llmrec build"):
        SearchBackend({}).count(NAME)


def test_indexes_of_other_sites_in_the_folder_are_not_ours(backend: SearchBackend) -> None:
    with override_settings(LLMREC={**django_settings.LLMREC, "INDEX_PREFIX": "Other"}):
        other = SearchBackend({})
        other.create_index("other-1", SCHEMA)
        assert other.index_names() == ["other-1"]
    assert backend.index_names() == [NAME]


def grow_old(file: Path) -> None:
    with opened(file) as other:
        other.execute("UPDATE doc SET deleted = deleted - 2 * 86400 WHERE deleted IS NOT NULL")


def tombstones(file: Path) -> int:
    with opened(file) as other:
        return int(other.execute("SELECT count(*) FROM doc WHERE deleted IS NOT NULL").fetchone()[0])


def test_old_tombstones_are_forgotten_by_later_writes_some_at_a_time(
    backend: SearchBackend, file: Path
) -> None:
    backend.write(NAME, [], [Removal(key=f"old{number}", revision=1) for number in range(1500)])
    grow_old(file)
    backend.write(NAME, [], [Removal(key="new", revision=1)])
    assert tombstones(file) == 501
    backend.write(NAME, [document("1")])
    assert tombstones(file) == 1


def test_a_process_that_missed_a_forgotten_delete_does_not_show_the_item(
    backend: SearchBackend, file: Path
) -> None:
    backend.write(NAME, [document("gone"), document("stays")])
    sleeper = SearchBackend({})
    assert near(sleeper) == ["gone", "stays"]
    backend.write(NAME, [], [Removal(key="gone", revision=2)])
    grow_old(file)
    backend.write(NAME, [document("new")])
    assert tombstones(file) == 0
    assert near(sleeper) == near(backend) == ["new", "stays"]


def view_of(backend: SearchBackend) -> matrix.MatrixView:
    with backend._lease(NAME) as lease:
        return backend._cache.matrix(lease.sqlite, lease.layout, read_state(lease.sqlite))


def test_rows_of_changed_items_do_not_pile_up_in_memory(backend: SearchBackend) -> None:
    backend.write(NAME, [document(str(number), vector=unit(1, number)) for number in range(200)])
    for revision in range(2, 12):
        backend.write(
            NAME,
            [document(str(n), vector=unit(1, n + 1), revision=revision) for n in range(0, 200, 3)],
            [Removal(key=str(revision * 3 + 1), revision=revision)],
        )
        assert near(backend, limit=2) == ["0", "1"]
    view = view_of(backend)
    assert np.count_nonzero(view.alive) == backend.count(NAME) == 190
    assert view.count <= 190 / 0.75
    hits = backend.search(NAME, EngineQuery(vector=unit(1, 100))).vector
    assert hits[0].key in ("100", "99")
    assert len(hits) == 190


def test_a_view_stays_as_it_was_while_others_write(backend: SearchBackend) -> None:
    backend.write(NAME, [document("1"), document("2", vector=unit(0, 1))])
    view = view_of(backend)
    before = view.scores(unit(1)).tolist()
    backend.write(NAME, [document("3"), document("1", vector=unit(-1), revision=2)])
    assert view_of(backend).count == 4
    assert view.scores(unit(1)).tolist() == before == [1.0, 0.0]


def test_a_search_that_memory_has_overtaken_looks_again(backend: SearchBackend) -> None:
    backend.write(NAME, [document("1", price=1)])
    with backend._lease(NAME) as lease:
        lease.sqlite.execute("BEGIN")
        state = read_state(lease.sqlite)
        backend.write(NAME, [document("2", price=1)])
        assert near(backend, facets=("price",)) == ["1", "2"]
        with pytest.raises(cache.Ahead):
            backend._cache.matrix(lease.sqlite, lease.layout, state)
        with pytest.raises(cache.Ahead):
            backend._cache.column(lease.sqlite, lease.layout, state, "price")
        lease.sqlite.rollback()


def test_many_blocks_of_vectors_are_searched_as_one(
    backend: SearchBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "_BLOCK_ELEMENTS", 1)  # the least block has 64 rows
    backend.write(NAME, [document(str(n), vector=unit(1, n), price=n % 20) for n in range(1000)])
    assert len(view_of(backend).blocks) == 16
    assert near(backend, limit=1000) == [str(n) for n in range(1000)]
    few = (Terms(field="price", values=(3,)),)
    assert near(backend, filters=few, limit=9) == [str(n) for n in range(3, 183, 20)]


def test_matrices_of_indexes_that_nobody_searches_any_more_are_let_go(
    backend: SearchBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    near(backend)
    monkeypatch.setattr(cache, "_FORGET_SECONDS", -1)
    time.sleep(0.01)
    backend.create_index("llmrec-next", SCHEMA)
    backend.search("llmrec-next", EngineQuery(vector=unit(1)))
    assert len(backend._cache._entries) == 1


def test_float16_halves_the_vectors_and_stays_with_the_file(file: Path) -> None:
    SearchBackend({"dtype": "float16"}).create_index(NAME, SCHEMA)
    backend = SearchBackend({})
    backend.write(NAME, [document("1", vector=unit(1, 2))])
    with opened(file) as other:
        assert other.execute("SELECT length(data) FROM vector").fetchall() == [(2 * SCHEMA.dimensions,)]
    assert backend.vectors(NAME, ["1"])["1"] == pytest.approx(unit(1, 2), abs=1e-4)


def test_words_in_most_items_are_dropped_from_queries_of_large_indexes(backend: SearchBackend) -> None:
    backend.write(
        NAME,
        [
            document(f"{n:04}", "the rare" if n < 3 else "the", body="most" if n % 2 else "")
            for n in range(2000)
        ],
    )
    assert sorted(found(backend, "the", "rare")) == ["0000", "0001", "0002"]
    assert len(found(backend, "the", "most", limit=5000)) == 1000
    assert len(found(backend, "the", limit=5000)) == 2000


def test_ties_of_any_number_are_cut_by_key(backend: SearchBackend) -> None:
    backend.write(NAME, [document(f"{n:03}", "red", price=n % 2) for n in reversed(range(500))])
    assert found(backend, "red", limit=3) == ["000", "001", "002"]
    half = (Terms(field="price", values=(1,)),)
    assert found(backend, "red", limit=3, filters=half) == ["001", "003", "005"]


def test_an_item_whose_key_is_no_text_fails_alone(backend: SearchBackend) -> None:
    report = backend.write(NAME, [document("\ud800"), document("1", "\ud800 red", brand="\ud800")])
    assert set(report.failed) == {"\ud800", "1"}
    assert backend.write(NAME, [document("1", "\ud800 red")]).written == 1
    assert found(backend, "\ud800") == found(backend, "red") == ["1"]
    assert backend.search(NAME, EngineQuery(exclude=frozenset({"\ud800"}))).total == 1
    assert backend.vectors(NAME, ["\ud800"]) == {}


def test_digests_of_many_items_come_page_by_page_while_others_write(
    backend: SearchBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_PAGE", 10)
    backend.write(NAME, [document(str(number)) for number in range(35)])
    seen = []
    for key, _ in backend.digests(NAME):
        seen.append(key)
        backend.write(NAME, [document(key, revision=2)], [Removal(key="34", revision=2)])
    assert seen == [str(number) for number in range(34)]


def test_an_index_with_filters_and_vectors_but_no_text_is_searched(data_dir: Path) -> None:
    backend = SearchBackend({})
    schema = type(SCHEMA)(
        text_fields=(), filters=SCHEMA.filters, dimensions=8, encoder_id="encoder", analysis_id="analysis"
    )
    backend.create_index(NAME, schema)
    with pytest.raises(IndexConflict):
        backend.create_index(NAME, SCHEMA)
    item = document("1")
    backend.write(
        NAME, [type(item)(**{f: getattr(item, f) for f in item.__slots__} | {"terms": {}, "exact": {}})]
    )
    assert near(backend) == ["1"]
    assert keys(backend.search(NAME, EngineQuery(text=words("red", weights={}))).text) == []
