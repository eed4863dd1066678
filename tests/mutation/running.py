"""Runs tests in forked processes: once with coverage, to see which test runs which line, then per mutant."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType
from typing import Any, Literal, TypeAlias

import pytest

from tests.mutation.operators import Mutant

Outcome: TypeAlias = Literal["killed", "timeout", "survived", "uncovered"]

PATIENCE = 5.0
"""A mutant may take so many times as long as its tests did before it counts as hung; and START seconds."""
START = 30.0
MEMORY = 8 << 30
"""Bytes that a test may take: a loop without an end may also be one that appends."""
OPTIONS = ("-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", "--hypothesis-profile=mutation")
"""The same examples each time, and few of them."""
QUIET = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
"""The plugins are there before pytest: see `warm_up`."""


@dataclass(frozen=True)
class Coverage:
    """Which tests run which lines, and how long each takes."""

    by_line: Mapping[str, Mapping[int, Collection[str]]]
    """Path -> line -> ids of tests; "" for what runs while modules are imported."""
    seconds: Mapping[str, float]

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests that can notice the mutant, the fastest first.

        What runs when its module is imported concerns all tests that use the module. A fixture that lives
        longer than a test is set up in the first one that asks, so the set-up counts for the whole file.
        """
        lines = self.by_line.get(mutant.path, {})
        wanted = range(mutant.first, mutant.last + 1)
        contexts = {context for line in wanted for context in lines.get(line, ())}
        if contexts == {""}:
            contexts = {context for found in lines.values() for context in found}
        names = {name for name, _, when in (context.rpartition("|") for context in contexts) if when == "run"}
        shared = {context.partition("::")[0] for context in contexts if context.endswith("|setup")}
        names |= {name for name in self.seconds if name.partition("::")[0] in shared}
        return sorted(names, key=lambda name: (self.seconds.get(name, 0.0), name))


class _Chosen:
    """Lets pytest run some of the tests that it collects, in the order given, and keeps their times."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.place = {name: place for place, name in enumerate(names)}
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.place:
            items[:] = [item for item in items if item.nodeid in self.place]
            items.sort(key=lambda item: self.place[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


class _Changed(SourceFileLoader):
    """Loads one module from changed source; also finds it, as the first of `sys.meta_path`."""

    def __init__(self, mutant: Mutant) -> None:
        parts = Path(mutant.path).with_suffix("").parts
        self.package = parts[-1] == "__init__"
        super().__init__(".".join(parts[:-1] if self.package else parts), str(Path(mutant.path).resolve()))
        self.text = mutant.source

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return spec_from_loader(fullname, self, is_package=self.package) if fullname == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self.text, self.path, "exec")
        return code


def warm_up() -> None:
    """Import what every run needs and no mutant changes, so that forked processes have it already."""
    for name in ("celery", "django.db.models", "django.test", "numpy", "scipy.special"):
        importlib.import_module(name)
    for plugin in importlib.metadata.entry_points(group="pytest11"):
        if not plugin.value.startswith("llmrec_plugin"):
            plugin.load()


def measure(targets: Sequence[str], tests: Sequence[str], folder: Path) -> Coverage:
    """Run the tests as they are, with coverage of `targets`; raises SystemExit where one of them fails."""
    os.environ["COVERAGE_FILE"] = str(folder / ".coverage")
    times = folder / "seconds.json"
    chosen = _Chosen()
    process = os.fork()
    if not process:
        folders = sorted(
            {target if Path(target).is_dir() else str(Path(target).parent) for target in targets}
        )
        options = [
            *OPTIONS,
            *QUIET,
            "--cov-context=test",
            "--cov-report=",
            *(f"--cov={at}" for at in folders),
        ]
        code = int(pytest.main([*options, *tests], plugins=[chosen]))
        times.write_text(json.dumps(chosen.seconds))
        os._exit(code)
    if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
        sys.exit("The tests fail without any mutant.")
    from coverage import CoverageData

    data = CoverageData(os.environ["COVERAGE_FILE"])
    data.read()
    here = Path.cwd()
    by_line = {
        Path(name).relative_to(here).as_posix(): data.contexts_by_lineno(name)
        for name in data.measured_files()
    }
    return Coverage(by_line, json.loads(times.read_text()))


def outcomes(
    mutants: Sequence[Mutant], coverage: Coverage, folder: Path, *, processes: int
) -> Iterator[tuple[Mutant, Outcome]]:
    """Try each mutant in a process of its own, `processes` of them at a time, and yield what became of it."""
    running: dict[int, tuple[Mutant, float, Path]] = {}
    waiting = iter(enumerate(mutants))
    while True:
        while len(running) < processes and (entry := next(waiting, None)):
            number, mutant = entry
            names = coverage.tests(mutant)
            if not names:
                yield mutant, "uncovered"
                continue
            place = folder / f"run-{number}"
            allowed = START + PATIENCE * sum(coverage.seconds.get(name, 0.0) for name in names)
            running[_started(mutant, names, place)] = (mutant, time.monotonic() + allowed, place)
        if not running:
            return
        time.sleep(0.02)
        for process, (mutant, deadline, place) in list(running.items()):
            outcome = _outcome(process, late=time.monotonic() > deadline)
            if outcome:
                del running[process]
                shutil.rmtree(place, ignore_errors=True)
                yield mutant, outcome


def _started(mutant: Mutant, names: Sequence[str], place: Path) -> int:
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        place.mkdir(parents=True)
        quiet = os.open(place / "output", os.O_WRONLY | os.O_CREAT)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        finder: Any = _Changed(mutant)
        sys.meta_path.insert(0, finder)
        files = sorted({name.partition("::")[0] for name in names})
        options = [*OPTIONS, *QUIET, f"--basetemp={place / 'files'}"]
        code = int(pytest.main([*options, *files], plugins=[_Chosen(names)]))
    finally:
        os._exit(code)


def _outcome(process: int, *, late: bool) -> Outcome | None:
    """None while it runs. Whatever the process left behind ends with it."""
    ended, status = os.waitpid(process, os.WNOHANG)
    if not ended and not late:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    if not ended:
        os.waitpid(process, 0)
        return "timeout"
    code = os.waitstatus_to_exitcode(status)
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise RuntimeError("The tests that cover a mutant are not collected.")
    return "killed" if code else "survived"
