"""Runs a module of this folder as a program of its own, on a site of its own, and reads what it reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def run(
    module: str,
    folder: Path,
    *arguments: str,
    settings: str = "tests.settings",
    timeout: int = 300,
    **env: str,
) -> dict[str, Any]:
    """The JSON object of its last line; database and indexes lie in `folder`."""
    process = subprocess.run(
        [sys.executable, "-m", f"tests.support.{module}", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": settings,
            "LLMREC_TEST_DB": str(folder / "site.sqlite3"),
            "LLMREC_TEST_DATA": str(folder / "indexes"),
            **env,
        },
    )
    assert process.returncode == 0, process.stderr
    report: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return report
