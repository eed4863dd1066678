"""docs/presets.md against the real packages.

`make test-presets` installs them and names this file, which is why it is not called as tests are.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.presets import sites

ROOT = Path(__file__).resolve().parents[2]


def write_site(folder: Path, app: str, settings: str, urls: str, check: str, models: str = "") -> None:
    """A site whose app holds what the page says."""
    files = {
        "settings.py": settings,
        "urls.py": urls,
        "check.py": check,
        f"{app}/__init__.py": "",
        f"{app}/migrations/__init__.py": "",
        f"{app}/models.py": models,
    }
    page = (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        head, _, body = block.partition("\n")
        if head.startswith(f"# {app}/"):
            files[head.removeprefix("# ")] = body
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def run(folder: Path, *words: str) -> str:
    paths = [*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(ROOT), str(folder)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in paths if path),
        "DJANGO_SETTINGS_MODULE": "settings",
    }
    finished = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, f"{words}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


def told(folder: Path) -> dict[str, Any]:
    """What the site's own check came to, as soon as the app has tables."""
    run(folder, "-m", "django", "check", "--fail-level", "WARNING")
    run(folder, "-m", "django", "makemigrations", "--verbosity=0")
    run(folder, "-m", "django", "migrate", "--verbosity=0")
    printed = run(folder, "-c", "import django; django.setup(); import check")
    line = next(line for line in printed.splitlines() if line.startswith("TOLD "))
    answers: dict[str, Any] = json.loads(line.removeprefix("TOLD "))
    return answers


def test_a_shop_made_with_oscar_is_searched_and_learned_from(tmp_path: Path) -> None:
    write_site(tmp_path, "shop", sites.OSCAR_SETTINGS, sites.OSCAR_URLS, sites.OSCAR_CHECK)
    assert told(tmp_path) == {
        "all": ["A novel of the sea", "Red desk lamp", "Sailor shirt"],  # neither variants nor hidden ones
        "novel": "A novel of the sea",
        "code": "A novel of the sea",
        "media": ["A novel of the sea"],  # below it
        "in stock": ["A novel of the sea", "Sailor shirt"],  # by its variant
        "cheap": ["A novel of the sea", "Sailor shirt"],
        "url": True,
        "bought": [True, "purchase"],  # the parent of what this user bought
        "in stock then": True,
        "cheap then": True,
        "by category": "A novel of the sea",
        "for you": ["Red desk lamp"],  # the shirt they have
    }


def test_the_pages_of_wagtail_are_found_as_long_as_anybody_may_read_them(tmp_path: Path) -> None:
    write_site(
        tmp_path,
        "pages",
        sites.WAGTAIL_SETTINGS,
        sites.WAGTAIL_URLS,
        sites.WAGTAIL_CHECK,
        sites.WAGTAIL_MODELS,
    )
    tea = "茶的文化"
    assert told(tmp_path) == {
        "all": ["Bulbs", "Garden", "Kitchen", tea],  # no draft
        "body": "Bulbs",
        "section": ["Bulbs"],
        "chinese": [tea],
        "url": "/garden/bulbs/",
        "published": True,
        "unpublished": False,
        "moved": ["Unfinished roses"],
        "closed": ["Kitchen", "Unfinished roses", tea],
        "open": ["Bulbs", "Garden", "Kitchen", "Unfinished roses", tea],
        "deleted": False,
    }
