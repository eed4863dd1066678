"""What the package promises to run on is what is tested, and a pair that cannot be is no secret."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.matrix.environments import ROOT, pairs

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def classified(topic: str) -> set[str]:
    prefix = f"{topic} :: "
    return {text.removeprefix(prefix) for text in PROJECT["classifiers"] if text.startswith(prefix)}


def pairs_with_tests() -> set[tuple[str, str]]:
    """The pair of `make test`, on the oldest Python and the pinned Django, and those of `make matrix`."""
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    django = re.search(r"^django==(\d+\.\d+)", pinned, re.MULTILINE)
    oldest = re.search(r"\d+\.\d+", PROJECT["requires-python"])
    assert django is not None
    assert oldest is not None
    return {
        (oldest[0], django[1]),
        *((python, version) for python, version in (pair.split("-") for pair in pairs())),
    }


def test_every_python_and_django_that_is_promised_is_tested() -> None:
    assert classified("Programming Language :: Python") == {python for python, _ in pairs_with_tests()}
    assert classified("Framework :: Django") == {django for _, django in pairs_with_tests()}


def test_pip_takes_the_tested_djangos_and_no_later_one() -> None:
    (bounds,) = (text for text in PROJECT["dependencies"] if text.startswith("django>"))
    series = sorted(tuple(map(int, django.split("."))) for _, django in pairs_with_tests())
    first, last = series[0], series[-1]
    assert bounds == f"django>={first[0]}.{first[1]},<{last[0]}.{last[1] + 1}"


@pytest.mark.parametrize("pair", pairs())
def test_a_pair_is_named_after_what_it_installs(pair: str) -> None:
    assert pairs()[pair].startswith(f"{pair.partition('-')[2]}.")


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_a_pair_whose_python_is_not_there_is_said_and_fails_in_ci(
    ci: str, status: int, tmp_path: Path
) -> None:
    environment = {**os.environ, "PATH": str(tmp_path), "PYENV_ROOT": str(tmp_path), "CI": ci}
    command = [sys.executable, "-m", "tests.matrix", "3.12-5.2", "--wheel", "none.whl", "tests/core"]
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == status
    assert "3.12-5.2 is NOT tested. There is no Python 3.12" in finished.stdout
