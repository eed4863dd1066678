"""Tries mutants, each in a forked process of its own, against the tests that reach it.

What is changed within a function is tried in a fork of one pytest session that has collected all tests: the
function's code is replaced where it lives, which takes milliseconds. What runs when a module is imported,
such as constants, needs a new session, which finds the changed module in place of the file.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_loader
from inspect import CO_NEWLOCALS, CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Literal, TypeAlias

import pytest

from tests.mutation.operators import Mutant
from tests.mutation.reach import OPTIONS, Reach

Outcome: TypeAlias = Literal["killed", "timeout", "survived", "uncovered"]
Job: TypeAlias = tuple[Mutant, Sequence[str], float]
"""A mutant, its tests and the seconds after which it counts as hung."""

PATIENCE = 5.0
"""A mutant may take so many times as long as its tests did without it; and START seconds."""
START = 20.0
KILLER = "killer"
"""Where a forked process leaves the name of the test that failed."""
MEMORY = 8 << 30
"""Bytes that a mutant may take: a loop without an end may also be one that appends."""


class ControlFailed(Exception):
    """Says that tests which killed mutants fail in a forked process without any: they tell nothing."""


def outcomes(
    mutants: Sequence[Mutant], reach: Reach, folder: Path, *, processes: int
) -> Iterator[tuple[Mutant, Outcome]]:
    """Try each mutant, `processes` of them side by side, and yield what became of it."""
    jobs: list[Job] = []
    for mutant in mutants:
        names = reach.tests(mutant)
        if names:
            jobs.append((mutant, names, START + PATIENCE * sum(reach.seconds[name] for name in names)))
        else:
            yield mutant, "uncovered"
    replaceable = [job for job in jobs if job[0].within and _is_replaceable(job[0])]
    if replaceable:
        yield from _in_one_session(replaceable, folder, processes)
    others = [job for job in jobs if job not in replaceable]
    yield from _forked(others, _in_a_new_session, folder, processes, set())


def _forked(
    jobs: Iterable[Job], test: Callable[[Job], bool], folder: Path, processes: int, killers: set[str]
) -> Iterator[tuple[Mutant, Outcome]]:
    """`test` says in a process of its own whether all tests passed; adds to `killers` those that did not."""
    running: dict[int, tuple[Mutant, float, Path]] = {}
    waiting = iter(jobs)
    while True:
        while len(running) < processes and (job := next(waiting, None)):
            place = folder.resolve() / f"run-{time.monotonic_ns()}"
            place.mkdir(parents=True)
            process = os.fork()
            if not process:
                _end(job, test, place)
            running[process] = (job[0], time.monotonic() + job[2], place)
        if not running:
            return
        time.sleep(0.01)
        for process, (mutant, deadline, place) in list(running.items()):
            outcome = _outcome(process, late=time.monotonic() > deadline)
            if outcome:
                del running[process]
                if outcome == "killed" and (place / KILLER).exists():
                    killers.add((place / KILLER).read_text())
                shutil.rmtree(place, ignore_errors=True)
                yield mutant, outcome


def _end(job: Job, test: Callable[[Job], bool], place: Path) -> None:
    """What the forked process does; it never returns."""
    passed = False
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(place)  # where pytest makes its tmp_path
        quiet = os.open(place / "output", os.O_WRONLY | os.O_CREAT)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        passed = test(job)
    finally:
        os._exit(0 if passed else 1)


def _outcome(process: int, *, late: bool) -> Outcome | None:
    """None while it runs. Whatever the process started ends with it."""
    ended, status = os.waitpid(process, os.WNOHANG)
    if not ended and not late:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    if not ended:
        os.waitpid(process, 0)
        return "timeout"
    return "killed" if os.waitstatus_to_exitcode(status) else "survived"


# Within functions: forks of one session.


def _in_one_session(jobs: Sequence[Job], folder: Path, processes: int) -> Iterator[tuple[Mutant, Outcome]]:
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        log = os.open(folder / "session.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        files = sorted({name.partition("::")[0] for _, names, _ in jobs for name in names})
        session = _Session(jobs, folder, processes, writing)
        os._exit(int(pytest.main([*OPTIONS, "--capture=sys", *files], plugins=[session])))
    os.close(writing)
    with os.fdopen(reading) as lines:
        for line in lines:
            number, outcome = line.split()
            yield jobs[int(number)][0], outcome  # type: ignore[misc]
    if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
        raise ControlFailed(folder / "session.log")


class _Session:
    """A plugin of pytest that tries mutants once the tests are collected."""

    def __init__(self, jobs: Sequence[Job], folder: Path, processes: int, writing: int) -> None:
        self.jobs = jobs
        self.folder = folder
        self.processes = processes
        self.writing = writing
        self.items: dict[str, pytest.Item] = {}
        self.failed = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        numbers = {id(job[0]): number for number, job in enumerate(self.jobs)}
        killers: set[str] = set()
        for mutant, outcome in _forked(self.jobs, self.survives, self.folder, self.processes, killers):
            os.write(self.writing, f"{numbers[id(mutant)]} {outcome}\n".encode())
        control: Job = (self.jobs[0][0], sorted(killers), sum(job[2] for job in self.jobs))
        failed: set[str] = set()
        if [found for _, found in _forked([control], self.passes, self.folder, 1, failed)] != ["survived"]:
            raise ControlFailed(failed)
        return True

    def survives(self, job: Job) -> bool:
        return not mutate(job[0]) or self.passes(job)

    def passes(self, job: Job) -> bool:
        items = sorted((self.items[name] for name in job[1]), key=_is_transactional)
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return False
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = True
            Path(os.environ["PYTEST_DEBUG_TEMPROOT"], KILLER).write_text(report.nodeid)


def _is_transactional(item: pytest.Item) -> bool:
    """Such tests empty the tables and come last, as in every session of pytest-django."""
    marker = item.get_closest_marker("django_db")
    fixtures = {"transactional_db", "live_server"}.intersection(getattr(item, "fixturenames", ()))
    return bool(fixtures or (marker and marker.kwargs.get("transaction")))


def mutate(mutant: Mutant) -> bool:
    """Replace the code of the function that the mutant changes, whoever holds it; False where nobody does."""
    importlib.import_module(_module_name(mutant))
    changed = [pair for pair in _functions(*_compiled(mutant)) if pair[0] != pair[1]]
    found = False
    for function in [known for known in gc.get_objects() if isinstance(known, FunctionType)]:
        for before, after in changed:
            if function.__code__ == before and before.co_freevars == after.co_freevars:
                function.__code__ = after
                found = True
    return found


def _is_replaceable(mutant: Mutant) -> bool:
    """Not where a method no longer knows its class, say: a function keeps the variables around it."""
    pairs = [pair for pair in _functions(*_compiled(mutant)) if pair[0] != pair[1]]
    return bool(pairs) and pairs[0][0].co_freevars == pairs[0][1].co_freevars


def _compiled(mutant: Mutant) -> tuple[CodeType, CodeType]:
    path = Path(mutant.path).resolve()
    return compile(path.read_text(), str(path), "exec"), compile(mutant.source, str(path), "exec")


def _functions(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """The functions of both side by side, outer ones before those inside."""
    codes = [[known for known in code.co_consts if isinstance(known, CodeType)] for code in (old, new)]
    if len(codes[0]) != len(codes[1]):
        return
    for before, after in zip(*codes, strict=True):
        if before.co_flags & CO_NEWLOCALS and before.co_flags & CO_OPTIMIZED:
            yield before, after
        yield from _functions(before, after)


def _module_name(mutant: Mutant) -> str:
    return ".".join(Path(mutant.path).with_suffix("").parts).removesuffix(".__init__")


# What runs at import: a session for each.


def _in_a_new_session(job: Job) -> bool:
    mutant, names, _ = job
    finder: Any = _Changed(mutant)
    sys.meta_path.insert(0, finder)
    files = sorted({name.partition("::")[0] for name in names})
    return not pytest.main([*OPTIONS, "-x", *files], plugins=[_Chosen(names)])


class _Changed(SourceFileLoader):
    """Loads one module from changed source; also finds it, as the first of `sys.meta_path`."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(_module_name(mutant), str(Path(mutant.path).resolve()))
        self.package = Path(mutant.path).stem == "__init__"
        self.text = mutant.source

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return spec_from_loader(fullname, self, is_package=self.package) if fullname == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self.text, self.path, "exec")
        return code


class _Chosen:
    """Lets pytest run some of the tests that it collects, in the order given."""

    def __init__(self, names: Sequence[str]) -> None:
        self.place = {name: place for place, name in enumerate(names)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid in self.place]
        items.sort(key=lambda item: (_is_transactional(item), self.place[item.nodeid]))
