"""What belongs to a release says the same in every place."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

import llmrec_plugin
from llmrec_plugin.api.openapi import OwnSchemaGenerator

ROOT = Path(__file__).resolve().parents[2]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def hooks() -> list[dict[str, Any]]:
    repositories = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    found: list[dict[str, Any]] = repositories[0]["hooks"]
    return found


def test_the_newest_release_of_the_changes_is_the_version() -> None:
    release, state = re.findall(r"^## (\S+), (\S+)$", text("CHANGELOG.md"), re.MULTILINE)[0]
    is_released = ".dev" not in llmrec_plugin.__version__
    assert llmrec_plugin.__version__.partition(".dev")[0] == release
    assert (state == "unreleased") is not is_released


def test_releases_stand_newest_first_and_have_areas() -> None:
    page = text("CHANGELOG.md")
    releases = [
        tuple(map(int, found.split("."))) for found in re.findall(r"^## ([\d.]+),", page, re.MULTILINE)
    ]
    assert releases == sorted(releases, reverse=True)
    assert all("\n### " in part for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:])


def test_the_openapi_document_names_the_version(db: None) -> None:
    schema = OwnSchemaGenerator().get_schema(public=True)  # type: ignore[no-untyped-call]
    assert schema["info"]["version"] == llmrec_plugin.__version__


def test_addresses_of_the_project_lead_to_files_that_there_are() -> None:
    urls = tomllib.loads(text("pyproject.toml"))["project"]["urls"]
    assert {"Documentation", "Changes", "Issues", "Security"} <= set(urls)
    files = [url.partition("/blob/main/")[2].partition("#")[0] for url in urls.values() if "/blob/" in url]
    assert files
    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_supported_versions_include_this_one() -> None:
    minor = ".".join(llmrec_plugin.__version__.split(".")[:2])
    assert f"| {minor} |" in text("SECURITY.md")


def test_hooks_call_the_pinned_tools_and_fetch_nothing() -> None:
    pinned = text("requirements-dev.txt")
    for hook in hooks():
        program = Path(str(hook["entry"]).split()[0])
        assert hook["language"] == "system", hook["id"]
        assert program.parent == Path(".venv/bin"), hook["id"]
        package = {"lint-imports": "import-linter", "python": "-r"}.get(program.name, program.name)
        assert re.search(rf"^{re.escape(package)}\b", pinned, re.MULTILINE), package


def test_the_file_of_hooks_is_one_that_pre_commit_reads() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(ROOT / ".pre-commit-config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
