"""Which test reaches which line: the tests are run once with coverage, each in a context of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutation.operators import Mutant

OPTIONS = ("-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--hypothesis-profile=mutation")
"""The same tests in the same order on the same few examples."""


@dataclass(frozen=True)
class Reach:
    """Tests by line, and how long each of them takes."""

    by_line: Mapping[str, Mapping[int, Collection[str]]]
    """Path -> line -> contexts: "<id of a test>|<run, setup or teardown>", "" when modules are imported."""
    seconds: Mapping[str, float]
    """Of each test that passes without any mutant; the others tell nothing and are left out."""

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests that can notice the mutant, the fastest first.

        What runs when its module is imported concerns all tests that use the module. A fixture that lives
        longer than a test is set up in the first one that asks, so a set-up counts for its whole file.
        """
        lines = self.by_line.get(mutant.path, {})
        contexts = {
            context for line in range(mutant.first, mutant.last + 1) for context in lines.get(line, ())
        }
        if contexts == {""}:
            contexts = {context for found in lines.values() for context in found}
        names = {name for name, _, when in (context.rpartition("|") for context in contexts) if when == "run"}
        shared = {context.partition("::")[0] for context in contexts if context.endswith("|setup")}
        names |= {name for name in self.seconds if name.partition("::")[0] in shared}
        return sorted(names & self.seconds.keys(), key=lambda name: (self.seconds[name], name))


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if not report.passed:
            self.failed.add(report.nodeid)


def measured(targets: Sequence[str], tests: Sequence[str], folder: Path) -> Reach:
    """Run the tests as they are, with coverage of `targets`; pytest names those that fail."""
    os.environ["COVERAGE_FILE"] = str(folder / ".coverage")
    times = folder / "seconds.json"
    process = os.fork()
    if not process:
        places = {target if Path(target).is_dir() else str(Path(target).parent) for target in targets}
        cover = ["--cov-context=test", "--cov-report=", *(f"--cov={place}" for place in sorted(places))]
        clock = _Clock()
        pytest.main([*OPTIONS, *cover, *tests], plugins=[clock])
        passed = {name: taken for name, taken in clock.seconds.items() if name not in clock.failed}
        times.write_text(json.dumps(passed))
        os._exit(0)
    os.waitpid(process, 0)
    from coverage import CoverageData

    data = CoverageData(os.environ["COVERAGE_FILE"])
    data.read()
    by_line = {
        Path(name).relative_to(Path.cwd()).as_posix(): data.contexts_by_lineno(name)
        for name in data.measured_files()
    }
    return Reach(by_line, json.loads(times.read_text()))
