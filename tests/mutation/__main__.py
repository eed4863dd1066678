"""`python -m tests.mutation`: mutates modules, runs the tests that reach a change, reports survivors."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.mutation.operators import Mutant, mutants
from tests.mutation.reach import measured
from tests.mutation.running import outcomes

FLOOR = 0.85
"""Share of mutants that the tests must kill."""
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
FOLDER = Path(".mutation")


def main() -> None:
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options = _parser().parse_args(sys.argv[1:end])
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a forked process has no threads of its parent
    sys.dont_write_bytecode = False
    FOLDER.mkdir(exist_ok=True)
    report = FOLDER / f"survivors-{Path(options.targets[0]).name}.txt"
    found = [mutant for path in _files(options.targets) for mutant in mutants(path, path.read_text())]
    if options.sample:
        found = sampled(found, options.sample, seed=options.seed)
    if options.again:
        known = set(report.read_text().splitlines())
        found = [mutant for mutant in found if mutant.name in known]
    print(f"{len(found)} mutants; running the tests once without any.", flush=True)
    reach = measured(options.targets, [*options.tests, *sys.argv[end + 1 :]], FOLDER)
    survivors: list[Mutant] = []
    counts: dict[str, Counter[str]] = {}
    for mutant, outcome in outcomes(found, reach, FOLDER, processes=options.processes):
        counts.setdefault(str(Path(mutant.path).parent), Counter())[outcome] += 1
        if outcome in ("survived", "uncovered"):
            survivors.append(mutant)
            print(f"{mutant.path}:{mutant.first} {mutant.scope}: {outcome}", flush=True)
            print(f"    - {mutant.before}\n    + {mutant.after}", flush=True)
    report.write_text("".join(f"{mutant.name}\n" for mutant in survivors))
    sys.exit(_summary(counts, survivors))


def sampled(found: Sequence[Mutant], count: int, *, seed: int) -> list[Mutant]:
    """Return `count` mutants drawn at random; a change of the code elsewhere changes none of the others."""
    drawn = sorted(found, key=lambda mutant: hashlib.sha256(f"{seed} {mutant.name}".encode()).digest())[
        :count
    ]
    return [mutant for mutant in found if mutant in drawn]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation", description=__doc__, epilog='What follows "--" goes to pytest.'
    )
    parser.add_argument("targets", nargs="+", help="modules or folders to mutate")
    parser.add_argument("--tests", nargs="+", default=["tests/core"], help="what to run (tests/core)")
    parser.add_argument("--sample", type=int, help="so many mutants, drawn at random, instead of all")
    parser.add_argument("--seed", type=int, default=13, help="of the draw (13)")
    parser.add_argument("--processes", type=int, default=2, help="side by side (2)")
    parser.add_argument(
        "--again", action="store_true", help="only those that survived the last run of the same first target"
    )
    return parser


def _files(targets: Iterable[str]) -> list[Path]:
    found = {
        path
        for target in map(Path, targets)
        for path in ([target] if target.is_file() else target.rglob("*.py"))
    }
    return sorted(found)


def _summary(counts: dict[str, Counter[str]], survivors: Sequence[Mutant]) -> str | None:
    """Print the table; the complaint if too many survive, None if not."""
    explained = {
        name for group in tomllib.loads(EQUIVALENT.read_text())["group"] for name in group["mutants"]
    }
    print("\n| package | mutants | killed | survivors, explained | survivors, not |\n|---|---|---|---|---|")
    total: Counter[str] = Counter()
    for package, found in sorted(counts.items()):
        alive = [mutant for mutant in survivors if str(Path(mutant.path).parent) == package]
        known = sum(mutant.name in explained for mutant in alive)
        killed = found["killed"] + found["timeout"]
        share = f"{killed} ({killed / found.total():.0%})"
        print(f"| `{package}` | {found.total()} | {share} | {known} | {len(alive) - known} |")
        total += found
    killed = total["killed"] + total["timeout"]
    print(f"\n{killed} of {total.total()} killed, {total['timeout']} of them by a test that hung.")
    return None if killed >= FLOOR * total.total() else f"Less than {FLOOR:.0%} are killed."


if __name__ == "__main__":
    main()
