"""The tutorial, typed in from top to bottom into an empty folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.crash  # starts processes of its own


@dataclass(frozen=True)
class Block:
    language: str
    text: str


def blocks() -> list[Block]:
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    return [Block(*found) for found in re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL)]


def write(folder: Path, block: Block) -> None:
    """Put a block that names its file in its first line where it says."""
    head, _, body = block.text.partition("\n")
    name = re.match(r"(?:#|//) ([\w./]+)", head)
    if name is None:
        return
    path = folder / name.group(1)
    path.parent.mkdir(parents=True, exist_ok=True)
    if "add at the end" in head:
        path.write_text(path.read_text(encoding="utf-8") + body, encoding="utf-8")
        # The packaged multilingual model takes half a minute to unpack; what is tested here is the text.
        with path.open("a", encoding="utf-8") as settings:
            settings.write('LLMREC["ENCODER"] = "llmrec_plugin.encoders.hashing"\n')
    else:
        path.write_text(body, encoding="utf-8")


def run(folder: Path, line: str) -> str:
    """One line of a shell block, with this interpreter."""
    words = line.replace('"', "").split()
    command = {
        "python": [sys.executable, *words[1:]],
        "django-admin": [sys.executable, "-m", "django", *words[1:]],
    }[words[0]]
    if "search" in words:  # the text to look for is one argument
        command = [sys.executable, *words[1:4], line.split('"')[1]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::DeprecationWarning:books"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    finished = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, f"{line}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


def test_every_block_of_the_tutorial_works_in_order(tmp_path: Path) -> None:
    printed: dict[str, str] = {}
    for block in blocks():
        if block.language != "sh":
            write(tmp_path, block)
            continue
        for line in block.text.strip().splitlines():
            if not line.startswith("pip "):
                printed[line] = run(tmp_path, line)
    bread = printed['python manage.py llmrec search "sourdough bread"']
    assert "1. Bread at home" in bread
    assert "Unfinished" not in bread
    assert "1. 机器学习入门" in printed['python manage.py llmrec search "清华"']
    personal = printed["python manage.py llmrec recommend --user 7 --document book --explain"]
    assert "1. Cakes for every day" in personal
    assert "Because you bought “Bread at home”" in personal
    assert "Bread at home  [book" not in personal
    assert "0 missing, 0 stale, 0 orphaned" in printed["python manage.py llmrec audit --repair"]


def test_the_json_of_the_tutorial_is_json() -> None:
    (fixture,) = (block for block in blocks() if block.language == "json" and "fixtures" in block.text)
    assert len(json.loads(fixture.text.partition("\n")[2])) == 8


def test_the_chinese_page_shows_the_code_of_the_english_one() -> None:
    english = (ROOT / "README.md").read_text(encoding="utf-8")
    chinese = (ROOT / "docs" / "zh" / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"```\w+\n.*?```", chinese, re.DOTALL)
    assert len(shown) == 6
    assert [block for block in shown if block not in english] == []
