"""Builds the environment of a pair: a Python, a Django, and the pinned packages that its tests need."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from tests.matrix import interpreters

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".matrix"
PAIRS = Path(__file__).with_name("pairs")
_NAMES = ROOT / "requirements-matrix.txt"
_PINS = tuple(ROOT / f"requirements{kind}.txt" for kind in ("", "-production", "-dev"))


def pairs() -> dict[str, str]:
    """Return the Django version by the name of the pair, such as {"3.14-6.1": "6.1.3"}."""
    found = {}
    for path in sorted(PAIRS.glob("*.txt")):
        pin = re.search(r"^django==([\d.]+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert pin is not None, f"{path} pins no Django"
        found[path.stem] = pin[1]
    return found


def prepare(pair: str) -> Path:
    """Return the Python of the pair's environment, built anew when what it is made of has changed.

    Raises interpreters.Missing.
    """
    base = interpreters.find(pair.partition("-")[0], downloads=FOLDER)
    home = FOLDER / pair
    recipe = hashlib.sha256(str(base).encode())
    for path in (_NAMES, *_PINS, PAIRS / f"{pair}.txt"):
        recipe.update(path.read_bytes())
    built = home / "built"
    if not built.exists() or built.read_text() != recipe.hexdigest():
        shutil.rmtree(home, ignore_errors=True)
        _build(base, home, pair)
        built.write_text(recipe.hexdigest())
    return python_of(home)


def python_of(home: Path) -> Path:
    """Return the interpreter of the environment in that folder."""
    return home / "bin" / "python"


def _build(base: Path, home: Path, pair: str) -> None:
    subprocess.run([base, "-m", "venv", home], check=True)
    constraints = home / "constraints.txt"
    constraints.write_text("".join(f"{pin}\n" for pin in _pins()))
    pip: list[str | Path] = [python_of(home), "-m", "pip", "install", "--quiet", "--constraint", constraints]
    wanted: list[str | Path] = ["--requirement", _NAMES, "--requirement", PAIRS / f"{pair}.txt"]
    # To compile all of them takes twice as long as to install them, and most are never imported.
    subprocess.run([*pip, "--no-compile", *wanted], check=True)
    # That warns when it is compiled, which the tests would take for an error.
    jieba = next(home.glob("lib/python*/site-packages/jieba"))
    subprocess.run([python_of(home), "-W", "ignore", "-m", "compileall", "-q", jieba], check=True)


def _pins() -> list[str]:
    """What the pair's Python shares with that of development; a constraint names no extras."""
    lines = [line for path in _PINS for line in path.read_text(encoding="utf-8").splitlines()]
    pins = [re.sub(r"\[.*\]", "", line) for line in lines if "==" in line and not line.startswith("#")]
    return [pin for pin in pins if not pin.startswith("django==")]
