"""What the operators make of a few lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation.operators import mutants


def changes(source: str) -> list[str]:
    """The changed lines, in order."""
    return [mutant.after for mutant in mutants(Path("module.py"), source)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("good = low < x", ["good = low <= x", "good = low >= x"]),
        ("good = x is not None", ["good = x is None"]),
        ("good = x not in seen", ["good = x in seen"]),
        ("good = a and b", ["good = a or b"]),
        ("good = not a", ["good = a"]),
        ("x = a - b", ["x = a + b"]),
        ("x = -a", ["x = a"]),
        ("x += a", ["pass", "x -= a"]),
        ("x = 0.5", ["x = 1.5"]),
        ("x = True", ["x = False"]),
        ("x = a if b else c", ["x = a if (not (b)) else c"]),
        ("x = [a for a in b if c]", ["x = [a for a in b if (not (c))]"]),
        ("x = np.minimum(a, b)", ["x = np.maximum(a, b)"]),
        ("del x", ["pass"]),
        ("act(x)", ["pass"]),
    ],
)
def test_a_line_has_one_mutant_for_each_fault_that_may_be_made_in_it(line: str, expected: list[str]) -> None:
    assert changes(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "x: int | None = a",
        'logger.info("message", 1)',
        'x = f"{1 + 2}"',
        "@dataclass(frozen=True)\nclass A:\n    x: int",
        "from a import b",
        "x = zip(a, b, strict=True)",
    ],
)
def test_what_tells_nothing_about_the_tests_is_left_alone(line: str) -> None:
    assert changes(line) == []


def test_conditions_loops_and_results_are_changed_where_they_stand() -> None:
    source = "class A:\n  def f(self, xs, n=1):\n    for x in xs:\n      if x:\n        return x\n"
    found = mutants(Path("module.py"), source)
    assert [(mutant.scope, mutant.first, mutant.after) for mutant in found] == [
        ("A.f", 2, "def f(self, xs, n=2):"),
        ("A.f", 3, "for x in ():"),
        ("A.f", 4, "if (not (x)):"),
        ("A.f", 5, "return None"),
    ]
    assert found[1].source == source.replace("in xs", "in ()")


def test_a_change_behind_letters_of_several_bytes_hits_its_place() -> None:
    assert changes('x = {"价格": a + b}') == ['x = {"价格": a - b}']
