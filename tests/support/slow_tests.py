"""`python -m tests.support.slow_tests report.xml`: writes which tests are slow, from a junit report of all.

`make test-fast` leaves those out; a test that is new is fast until it was measured.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

SLOW = Path(__file__).parent.parent / "slow.txt"
SECONDS = 0.25
"""What a slow test takes, with the fixtures that are its own."""


def names() -> frozenset[str]:
    """Return the slow ones as pytest names them, without their parameters."""
    return frozenset(SLOW.read_text(encoding="utf-8").split())


def base_name(nodeid: str) -> str:
    return nodeid.partition("[")[0]


def measured(report: Path) -> dict[str, float]:
    """Return by name what the slowest case of a test took, in seconds."""
    seconds: dict[str, float] = {}
    for case in ET.parse(report).iter("testcase"):
        module, *classes = _split(case.attrib["classname"])
        name = "::".join([module, *classes, case.attrib["name"]])
        seconds[base_name(name)] = max(seconds.get(base_name(name), 0.0), float(case.attrib["time"]))
    return seconds


def _split(classname: str) -> list[str]:
    """The file of a dotted name, and the classes in it."""
    parts = classname.split(".")
    classes: list[str] = []
    while parts and not Path(*parts).with_suffix(".py").exists():
        classes.insert(0, parts.pop())
    return [Path(*parts).with_suffix(".py").as_posix(), *classes]


if __name__ == "__main__":
    slow = sorted(name for name, seconds in measured(Path(sys.argv[1])).items() if seconds >= SECONDS)
    SLOW.write_text("".join(f"{name}\n" for name in slow), encoding="utf-8")
    print(f"{len(slow)} tests are slow.")
