"""`python -m tests.support.distribution FOLDER`: whether sdist and wheel hold what they should."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "llmrec_plugin/"
LEFT_OUT = (".gitignore", ".dockerignore")
"""Of the repository: what is about it, and not about what it holds."""


def tracked() -> set[str]:
    """Files of the repository."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines())


def problems(folder: Path) -> list[str]:
    """What is missing, or should not be there."""
    (source,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    with tarfile.open(source) as archive:
        in_source = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    files = tracked()
    package = {name for name in files if name.startswith(PACKAGE)}
    own = {name for name in in_wheel if ".dist-info/" not in name}
    return [
        *(f"not in the sdist: {name}" for name in sorted(files - in_source) if name not in LEFT_OUT),
        *(f"not in the wheel: {name}" for name in sorted(package - in_wheel)),
        *(f"only in the wheel: {name}" for name in sorted(own - package)),
    ]


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]))
    print("\n".join(found) or "sdist and wheel are complete")
    sys.exit(bool(found))
