"""The dictionary belongs to the index: what was cut by one is searched and written by the same one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from llmrec_plugin.models import Dictionary, IndexVersion
from llmrec_plugin.services import indexing
from llmrec_plugin.services.deployment import retirement
from tests.hostapp.models import Product
from tests.support.dictionaries import WORD

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text(f"{WORD}\n", encoding="utf-8")
    return path


def process(folder: Path, dictionary: Path | str, *steps: str) -> list[Any]:
    """What the steps come to in a process that starts with this setting."""
    finished = subprocess.run(
        [sys.executable, "-m", "tests.support.dictionaries", str(dictionary), *steps],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "LLMREC_TEST_DATA": str(folder),
            "LLMREC_TEST_DB": str(folder / "site.sqlite3"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    results: list[Any] = json.loads(finished.stdout.splitlines()[-1])
    return results


def test_after_a_rollback_fresh_processes_find_words_as_the_live_index_was_cut(
    tmp_path: Path, dictionary: Path
) -> None:
    first, plain = process(tmp_path, "", "open", "build", "search")[1:]
    assert plain == {f"{WORD}实战": f"<mark>{WORD}</mark>实战"}
    second, whole, back = process(tmp_path, dictionary, "build", "search", "rollback")
    assert (second != first, whole, back) == (True, plain, first)
    # the word of the setting is in no item of the index that is live again
    assert process(tmp_path, dictionary, "search") == [plain]
    again, _, both = process(tmp_path, "", "rollback", "save", "search")
    assert again == second
    assert both == {**plain, f"{WORD}入门 2": f"<mark>{WORD}</mark>入门 2"}
    *_, former = process(tmp_path, dictionary, "rollback", "search")
    assert former == both


@pytest.mark.django_db
def test_a_dictionary_is_kept_once_and_goes_with_the_last_index_that_needs_it(dictionary: Path) -> None:
    Product.objects.create(title=f"{WORD}实战")
    with override_settings(LLMREC={**settings.LLMREC, "DICTIONARY": str(dictionary)}):
        versions = [indexing.build("product", rebuild=True).index_version for _ in range(2)]
        (row,) = Dictionary.objects.all()
        assert {version.dictionary_id for version in versions} == {row.pk}
        assert row.content.strip() == WORD
    indexing.build("product")
    assert IndexVersion.objects.latest("id").dictionary is None
    much_later = timezone.now() + timedelta(days=60)
    retirement.sweep(now=much_later)
    assert not Dictionary.objects.exists()
