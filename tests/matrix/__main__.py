"""`python -m tests.matrix PAIR --wheel FILE TEST …`: runs tests with a pair of Python and Django, and makes a
site on the wheel; what else is on the line is pytest's. Where the pair's Python cannot be had that is said,
and in CI fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.matrix import environments, interpreters

CHOSEN = "not model and not browser and not crash"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("pair", choices=environments.pairs())
    parser.add_argument("--wheel", type=Path, required=True, help="the plugin as a site installs it")
    parser.add_argument("tests", nargs="+", help="files and folders of tests")
    options, for_pytest = parser.parse_known_args()
    started = time.monotonic()
    try:
        python = environments.prepare(options.pair)
    except interpreters.Missing as missing:
        print(f"\n!!! The pair {options.pair} is NOT tested. {missing}\n", flush=True)
        sys.exit(1 if os.environ.get("CI") else 0)
    built = time.monotonic()
    print(f"Python-Django {options.pair}: {' '.join(_versions(python))}", flush=True)
    words = ["-q", "-m", CHOSEN, "--hypothesis-profile", "matrix", *options.tests, *for_pytest]
    outcome = subprocess.run([python, "-m", "pytest", *words], cwd=environments.ROOT, check=False).returncode
    tested = time.monotonic()
    outcome = _try_wheel(options.pair, options.wheel.resolve()) or outcome
    done = time.monotonic()
    print(
        f"Python-Django {options.pair}: environment {built - started:.0f} s, tests {tested - built:.0f} s, "
        f"site {done - tested:.0f} s"
    )
    sys.exit(outcome)


def _versions(python: Path) -> list[str]:
    code = "import django, platform, sqlite3; print(platform.python_version(), django.__version__)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def _try_wheel(pair: str, wheel: Path) -> int:
    """Install the wheel beside the pair's packages, where pip refuses what its metadata does not allow, and
    make a site with it; returns the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        home, site = Path(folder) / "environment", Path(folder) / "site"
        site.mkdir()
        paired = environments.FOLDER / pair
        subprocess.run([environments.python_of(paired), "-m", "venv", home], check=True)
        packages = next(home.glob("lib/python*/site-packages"))
        (packages / "pair.pth").write_text(f"{next(paired.glob('lib/python*/site-packages'))}\n")
        python = environments.python_of(home)
        steps = [
            ["-m", "pip", "install", "--quiet", "--no-index", f"{wheel}[openapi]"],
            [str(environments.ROOT / "tests" / "matrix" / "wheel_site.py"), str(site)],
        ]
        return next((code for step in steps if (code := subprocess.call([python, *step], cwd=folder))), 0)


if __name__ == "__main__":
    main()
