"""What a site may import is one list, and whatever we show to sites keeps to it."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmrec_plugin.public import PUBLIC
from tests.presets import sites

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "llmrec_plugin"
DOTTED = re.compile(rf"{PACKAGE}(\.\w+)+")


def shown() -> Iterator[tuple[str, str]]:
    """(where, code) of all that sites are shown, or may copy."""
    for folder in ("project", "workers", "tests/hostapp"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "zh").glob("*.md")]
    for page in sorted(pages):
        for number, block in enumerate(
            re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        ):
            yield f"{page.relative_to(ROOT)} block {number}", block
    for name, code in vars(sites).items():
        if isinstance(code, str) and name.isupper():
            yield f"tests.presets.sites.{name}", code


def private_names(code: str) -> list[str]:
    """Dotted names of the package in the code that are not public, imported, used or written as text."""
    tree = ast.parse(code)
    modules: dict[str, str] = {}  # name in the code -> public module that it stands for
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == PACKAGE:
            for one in node.names:
                whole = f"{node.module}.{one.name}"
                if whole in PUBLIC:
                    modules[one.asname or one.name] = whole
                elif one.name not in PUBLIC.get(str(node.module), ()):
                    found.append(whole)
        elif isinstance(node, ast.Import):
            found += [one.name for one in node.names if one.name.partition(".")[0] == PACKAGE]
        elif isinstance(node, ast.Constant) and DOTTED.fullmatch(str(node.value)):
            found += [] if is_public(str(node.value)) else [str(node.value)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            module = modules[node.value.id]
            found += [] if node.attr in PUBLIC[module] else [f"{module}.{node.attr}"]
    return found


def is_public(dotted: str) -> bool:
    module, _, name = dotted.rpartition(".")
    return dotted in PUBLIC or name in PUBLIC.get(module, ())


@pytest.mark.parametrize("module", PUBLIC)
def test_the_list_equals_what_its_modules_say(module: str) -> None:
    found = importlib.import_module(module)
    assert sorted(PUBLIC[module]) == sorted(found.__all__)
    assert [name for name in PUBLIC[module] if not hasattr(found, name)] == []


def test_every_public_name_stands_in_the_reference() -> None:
    pages = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "docs/reference").glob("*.md")}
    headings = {
        name for text in pages.values() for name in re.findall(r"^#+ `([\w.]+)`$", text, re.MULTILINE)
    }
    headings |= set(re.findall(r"\| `(\w+)` \|$", pages["errors.md"], re.MULTILINE))
    assert {name for names in PUBLIC.values() for name in names} - headings == set()
    assert {module for module in PUBLIC if module not in headings} <= {
        "llmrec_plugin.documents",
        "llmrec_plugin.exceptions",
    }


def test_no_private_name_stands_in_the_reference() -> None:
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs/reference").glob("*.md")]
    assert pages
    assert [
        name for page in pages for name in re.findall(r"^(?:\||#+) `(?:\w+\.)*(_\w+)`", page, re.MULTILINE)
    ] == []


@pytest.mark.parametrize(("where", "code"), [pytest.param(*one, id=one[0]) for one in shown()])
def test_what_sites_are_shown_uses_nothing_else(where: str, code: str) -> None:
    assert private_names(code) == []


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("from llmrec_plugin.services.indexing import outbox", "llmrec_plugin.services.indexing.outbox"),
        ("from llmrec_plugin.models import Interaction", "llmrec_plugin.models.Interaction"),
        ("from llmrec_plugin import conf", "llmrec_plugin.conf"),
        ("import llmrec_plugin.conf", "llmrec_plugin.conf"),
        (
            "from llmrec_plugin.services import privacy\nprivacy.drop_derived('7')",
            "llmrec_plugin.services.privacy.drop_derived",
        ),
        ('MIDDLEWARE = ["llmrec_plugin.middleware.Other"]', "llmrec_plugin.middleware.Other"),
    ],
)
def test_a_private_name_is_noticed(code: str, name: str) -> None:
    assert private_names(code) == [name]


def test_what_is_shown_is_looked_at() -> None:
    places = [where for where, _code in shown()]
    assert len(places) > 60
    for expected in ("docs/cookbook.md", "docs/presets.md", "project/storefront/views.py", "OSCAR_CHECK"):
        assert any(expected in place for place in places), expected
