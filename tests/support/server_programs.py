"""Where the programs of the real servers are on this machine; Elasticsearch is fetched by Maven."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from functools import cache
from pathlib import Path

DOWNLOADS = Path(__file__).resolve().parents[1] / ".cache" / "servers"

_MIN_JAVA = {8: 17, 9: 21}
_ARTIFACT = "org.elasticsearch.distribution.integ-test-zip:elasticsearch:{version}:zip"


class Missing(Exception):
    """A server cannot be had on this machine; says what to install."""


@cache
def elasticsearch_home(version: str) -> Path:
    """The unpacked distribution, kept between runs where every user can read it."""
    owner = f"llmrec-servers-{os.geteuid()}"
    home = Path(tempfile.gettempdir()) / owner / f"elasticsearch-{version}"
    if not home.exists():
        home.parent.mkdir(mode=0o755, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
            _unzip(_downloaded(version), Path(scratch))
            with contextlib.suppress(OSError):  # another test process was faster
                (Path(scratch) / home.name).rename(home)
    return home


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            path = Path(packed.extract(entry, folder))
            is_program = entry.is_dir() or entry.external_attr >> 16 & 0o100
            path.chmod(0o755 if is_program else 0o644)


def _downloaded(version: str) -> Path:
    archive = DOWNLOADS / f"elasticsearch-{version}.zip"
    if archive.exists():
        return archive
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing(f"Elasticsearch {version}: install Maven, which fetches it (apt-get install maven)")
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    fetched = subprocess.run(
        [
            *(maven, "-B", "-q", "dependency:copy"),
            *(f"-Dartifact={_ARTIFACT.format(version=version)}", f"-DoutputDirectory={DOWNLOADS}"),
        ],
        cwd=DOWNLOADS,
        text=True,
        capture_output=True,
        check=False,
    )
    if fetched.returncode or not archive.exists():
        raise Missing(f"Elasticsearch {version}: Maven could not fetch it: {fetched.stdout[-500:]}")
    return archive


@cache
def java_home(version: str) -> Path:
    """The oldest Java on this machine that is new enough for that Elasticsearch."""
    least = _MIN_JAVA[int(version.split(".", maxsplit=1)[0])]
    found = sorted((version, home) for home, version in _javas().items() if version >= least)
    if not found:
        raise Missing(
            f"Elasticsearch: install Java {least} or newer (apt-get install openjdk-{least}-jre-headless)"
        )
    return found[0][1]


@cache
def _javas() -> dict[Path, int]:
    """Major version by home folder."""
    on_path = shutil.which("java")
    homes = {Path(os.environ[name]) for name in ("ES_JAVA_HOME", "JAVA_HOME") if os.environ.get(name)}
    homes |= {Path(on_path).resolve().parents[1]} if on_path else set()
    for folder in ("/usr/lib/jvm", "/opt/java", "/Library/Java/JavaVirtualMachines"):
        homes |= {home.resolve() for home in Path(folder).glob("*")}
    homes |= {home / "Contents" / "Home" for home in homes}
    found = {}
    for home in homes:
        release = home / "release"
        if (home / "bin" / "java").exists() and release.exists():
            version = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release.read_text(), re.MULTILINE)
            if version:
                found[home] = int(version[1])
    return found


def postgresql_programs() -> Path:
    """The folder of initdb and its siblings; Debian keeps it off the PATH."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise Missing("PostgreSQL: install the server (apt-get install postgresql)")
