"""The embedded engine under several processes at once: freshness, lost writes, crashes, drops and forks.

Each `_play_*` function is the part of another process; `python -m` this module runs it there.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from llmrec_plugin.backends.embedded import SearchBackend
from llmrec_plugin.contracts.backend_model import SCHEMA, document, keys, unit, words
from llmrec_plugin.exceptions import BackendUnavailable, NotFound
from llmrec_plugin.types import EngineQuery, Removal

NAME = "llmrec-shared"
ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def other_process(part: str, *arguments: object, data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    command = [
        sys.executable,
        "-m",
        "tests.services.indexing.test_embedded_processes",
        part,
        *map(str, arguments),
    ]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "LLMREC_TEST_DATA": str(data_dir),
    }
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str], text: str = "") -> None:
    assert process.stdin is not None
    process.stdin.write(f"{text}\n")
    process.stdin.flush()


def say(text: object) -> None:
    print(text, flush=True)


def assert_consistent(data_dir: Path) -> None:
    """The file is sound, and its parts hold the same items."""
    with closing(sqlite3.connect(data_dir / "index" / f"{NAME}.sqlite3")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.execute("INSERT INTO text (text, rank) VALUES ('integrity-check', 1)")
        live = {id_ for (id_,) in connection.execute("SELECT id FROM doc WHERE deleted IS NULL")}
        assert {id_ for (id_,) in connection.execute("SELECT rowid FROM text")} == live
        assert {id_ for (id_,) in connection.execute("SELECT doc FROM vector")} == live
        assert connection.execute("SELECT live FROM state").fetchone() == (len(live),)


def near(backend: SearchBackend, key: str) -> bool:
    return key in keys(backend.search(NAME, EngineQuery(vector=unit(1))).vector)


def found(backend: SearchBackend, word: str) -> list[str]:
    return keys(backend.search(NAME, EngineQuery(text=words(word))).text)


@pytest.fixture
def backend() -> SearchBackend:
    backend = SearchBackend({})
    backend.create_index(NAME, SCHEMA)
    return backend


def _play_writer_on_demand() -> None:
    backend = SearchBackend({})
    say("ready")
    for line in sys.stdin:
        verb, key, revision = line.split()
        if verb == "put":
            backend.write(NAME, [document(key, key, revision=int(revision))])
        else:
            backend.write(NAME, [], [Removal(key=key, revision=int(revision))])
        say("done")


def test_a_reader_sees_the_writes_of_another_process_within_a_second(
    backend: SearchBackend, data_dir: Path
) -> None:
    backend.write(NAME, [document("old", "old")])
    assert near(backend, "old")
    with other_process("writer_on_demand", data_dir=data_dir) as writer:
        assert line_of(writer) == "ready"
        for change, expected in (("put new 1", True), ("delete new 2", False), ("put new 3", True)):
            started = time.monotonic()
            tell(writer, change)
            while (near(backend, "new"), found(backend, "new") == ["new"]) != (expected, expected):
                assert time.monotonic() - started < 1
            assert line_of(writer) == "done"
    assert near(backend, "old")


def _play_writer(prefix: str, count: str) -> None:
    backend = SearchBackend({})
    backend.create_index(NAME, SCHEMA)
    for number in range(int(count)):
        backend.write(NAME, [document(f"{prefix}{number}", prefix, vector=unit(1, number))])
    say("done")


def test_several_processes_make_one_index_and_write_and_lose_nothing(data_dir: Path) -> None:
    with (
        other_process("writer", "a", 200, data_dir=data_dir) as first,
        other_process("writer", "b", 200, data_dir=data_dir) as second,
        other_process("writer", "c", 200, data_dir=data_dir) as third,
    ):
        assert [line_of(process) for process in (first, second, third)] == ["done"] * 3
    backend = SearchBackend({})
    written = {f"{prefix}{number}" for prefix in "abc" for number in range(200)}
    assert {key for key, _ in backend.digests(NAME)} == written
    result = backend.search(NAME, EngineQuery(text=words("a", "b", "c"), vector=unit(1), limit=1000))
    assert set(keys(result.text)) == set(keys(result.vector)) == written
    assert_consistent(data_dir)


def _play_writer_of_batches(start: str) -> None:
    backend = SearchBackend({})
    for batch in range(int(start), 1_000_000):
        backend.write(
            NAME,
            [document(str(key), f"b{batch}", revision=batch, digest=str(batch)) for key in range(20)],
            [Removal(key=f"gone{batch}", revision=batch)],
        )
        say(batch)


@pytest.mark.crash
def test_a_writer_killed_at_any_moment_leaves_whole_batches_and_all_that_it_acknowledged(
    backend: SearchBackend, data_dir: Path
) -> None:
    start = 1
    for round_ in range(5):
        with other_process("writer_of_batches", start, data_dir=data_dir) as writer:
            acknowledged = max(int(line_of(writer)) for _ in range(10 + round_))
            time.sleep(0.003 * round_)
            writer.send_signal(signal.SIGKILL)
            assert writer.stdout is not None
            acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
        digests = dict(backend.digests(NAME))
        (batch,) = set(digests.values())  # one: no batch is there in part
        assert len(digests) == backend.count(NAME) == 20
        assert int(batch) in (
            acknowledged,
            acknowledged + 1,
        )  # the last may have been cut off before its line
        assert sorted(found(backend, f"b{batch}")) == sorted(digests)
        assert found(backend, f"b{int(batch) - 1}") == []
        assert near(backend, "7")
        assert_consistent(data_dir)
        start = int(batch) + 1


def _play_reader() -> None:
    backend = SearchBackend({})
    for _ in sys.stdin:
        try:
            say(",".join(keys(backend.search(NAME, EngineQuery(vector=unit(1))).vector)))
        except NotFound:
            say("not found")


def test_readers_of_a_dropped_index_are_told_so_and_do_no_harm_to_a_new_one_of_its_name(
    backend: SearchBackend, data_dir: Path
) -> None:
    backend.write(NAME, [document("old")])
    with other_process("reader", data_dir=data_dir) as reader:
        answers = []
        steps: tuple[Callable[[], object], ...] = (
            lambda: None,
            lambda: backend.drop_index(NAME),
            lambda: backend.create_index(NAME, SCHEMA),
            lambda: backend.write(NAME, [document("new")]),
        )
        for step in steps:
            step()
            tell(reader)
            answers.append(line_of(reader))
    assert answers == ["old", "not found", "", "new"]
    assert near(backend, "new")
    assert sorted(path.name for path in (data_dir / "index").glob("*.sqlite3")) == [f"{NAME}.sqlite3"]
    assert_consistent(data_dir)


def _play_writer_on_a_full_disk() -> None:
    import resource

    backend = SearchBackend({})
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    written = 0
    try:
        while True:
            backend.write(NAME, [document(f"{written}-{n}", "w" * 100) for n in range(20)])
            written += 20
    except BackendUnavailable as error:
        say(f"{written} {error}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    backend.write(NAME, [document("after")])
    say(backend.count(NAME))


@pytest.mark.skipif(sys.platform == "win32", reason="has no limits on the size of files")
def test_a_full_disk_is_reported_and_nothing_is_written_by_halves(
    backend: SearchBackend, data_dir: Path
) -> None:
    with other_process("writer_on_a_full_disk", data_dir=data_dir) as writer:
        written, reason = line_of(writer).split(" ", 1)
        assert NAME in reason
        assert line_of(writer) == str(int(written) + 1)
    assert int(written) > 0
    assert_consistent(data_dir)


def _play_forker() -> None:
    """Forks while other threads search and write, and lets the children do the same."""
    backend = SearchBackend({})
    stop = threading.Event()

    def work(name: str) -> None:
        turn = 0
        while not stop.is_set() or turn < 5:
            backend.write(NAME, [document(f"{name}-{turn % 5}", name, revision=turn + 1)])
            near(backend, name)
            turn += 1

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    children = []
    for number in range(6):
        child = os.fork()
        if child == 0:
            for turn in range(5):
                backend.write(NAME, [document(f"f{number}-{turn}", "child")])
                assert near(backend, f"f{number}-{turn}")
            os._exit(0)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    stop.set()
    for thread in threads:
        thread.join()
    say(statuses)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_process_may_fork_while_its_threads_search_and_write(
    backend: SearchBackend, data_dir: Path
) -> None:
    with other_process("forker", data_dir=data_dir) as forker:
        assert line_of(forker) == str([0] * 6)
    expected = {
        f"{who}-{turn}" for who in ("t0", "t1", "t2", *(f"f{n}" for n in range(6))) for turn in range(5)
    }
    assert {key for key, _ in backend.digests(NAME)} == expected
    assert_consistent(data_dir)


if __name__ == "__main__":
    globals()[f"_play_{sys.argv[1]}"](*sys.argv[2:])
