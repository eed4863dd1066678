"""Which test reaches which line: the tests are run once with coverage, each in a context of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutation.operators import Mutant

OPTIONS = ("-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", "--hypothesis-profile=mutation")
"""The same tests in the same order on the same few examples."""


@dataclass(frozen=True)
class Reach:
    """Tests by line, and how long each of them takes."""

    by_line: Mapping[str, Mapping[int, Collection[str]]]
    """Path -> line -> contexts: "<id of a test>|<run, setup or teardown>", "" when modules are imported."""
    seconds: Mapping[str, float]

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
        return sorted(names, key=lambda name: (self.seconds.get(name, 0.0), name))


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def measured(targets: Sequence[str], tests: Sequence[str], folder: Path) -> Reach:
    """Run the tests as they are, with coverage of `targets`; raises SystemExit where one of them fails."""
    os.environ["COVERAGE_FILE"] = str(folder / ".coverage")
    times = folder / "seconds.json"
    process = os.fork()
    if not process:
        places = {target if Path(target).is_dir() else str(Path(target).parent) for target in targets}
        cover = ["--cov-context=test", "--cov-report=", *(f"--cov={place}" for place in sorted(places))]
        clock = _Clock()
        code = int(pytest.main([*OPTIONS, *cover, *tests], plugins=[clock]))
        times.write_text(json.dumps(clock.seconds))
        os._exit(code)
    if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
        sys.exit("The tests fail without any mutant.")
    from coverage import CoverageData

    data = CoverageData(os.environ["COVERAGE_FILE"])
    data.read()
    by_line = {
        Path(name).relative_to(Path.cwd()).as_posix(): data.contexts_by_lineno(name)
        for name in data.measured_files()
    }
    return Reach(by_line, json.loads(times.read_text()))
