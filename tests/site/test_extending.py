"""The files of docs/extending.md make a site elsewhere, whose tests pass with the package alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "extending.md"
SITE = {
    "site_settings.py": """
from pathlib import Path

BASE_DIR = Path(__file__).parent
SECRET_KEY = "of a test"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "llmrec_plugin", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# What a site has of its own does not matter to the contracts.
LLMREC = {"ENCODER": "nobody/has-this-model", "PLACEMENTS": {"cheapest": {"type": "popular"}}}
""",
    "pytest.ini": """
[pytest]
DJANGO_SETTINGS_MODULE = site_settings
pythonpath = . packages
filterwarnings = error
""",
    "shop/__init__.py": "",
    "shop/models.py": """
from django.db import models

class Product(models.Model):
    title = models.CharField(max_length=80)
    colour = models.CharField(max_length=20)
    price = models.DecimalField(max_digits=6, decimal_places=2)

    def __str__(self):
        return self.title
""",
}


def shown() -> dict[str, str]:
    """File -> its text, of all blocks that begin with its name."""
    files: dict[str, str] = {}
    blocks = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for name, text in blocks:
        files[name] = f"{files.get(name, '')}{text}\n"
    return files


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for name, text in {**SITE, **shown()}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "packages").mkdir()
    (folder / "packages" / "llmrec_plugin").symlink_to(ROOT / "llmrec_plugin")
    return folder


def run_tests(site: Path, *chosen: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "PYTEST"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pytest_django.plugin", *chosen],
        cwd=site,
        env={**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.crash  # a process of its own
@pytest.mark.parametrize("name", sorted(name for name in shown() if name.startswith("tests/")))
def test_what_the_page_shows_keeps_its_contract(site: Path, name: str) -> None:
    finished = run_tests(site, name)
    assert finished.returncode == 0, finished.stdout[-6000:] + finished.stderr
    assert " passed" in finished.stdout


@pytest.mark.crash  # a process of its own
def test_a_strategy_that_breaks_its_contract_is_told_with_both_sides(site: Path) -> None:
    broken = (site / "tests/test_cheapest.py").read_text().replace("in range(8)", "in range(5)")
    (site / "tests/test_broken.py").write_text(broken)
    finished = run_tests(site, "tests/test_broken.py")
    assert "make_items() gave 5 items; the contract needs 6." in finished.stdout
    (site / "tests/test_broken.py").write_text(
        broken.replace("in range(5)", "in range(8)").replace('"red"\n', '"blue"\n')
    )
    finished = run_tests(site, "tests/test_broken.py", "-k", "stays_within")
    assert "Extra items in the" in finished.stdout, finished.stdout


def test_each_contract_has_an_example() -> None:
    contracts = {path.stem for path in (ROOT / "llmrec_plugin" / "contracts").glob("*.py")}
    used = set(re.findall(r"from llmrec_plugin\.contracts\.(\w+) import", "".join(shown().values())))
    assert used == contracts - {
        "__init__",
        "backend_model",
        "backend_searching",
        "backend_words",
        "backend_writing",
        "silent_engine",
        "site",
    }
