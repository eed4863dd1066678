"""Chinese is complete: no string missing, fuzzy or with other placeholders, and compiled as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import polib
import pytest
from django.contrib import admin
from django.utils import translation

from llmrec_plugin.admin.base import ExplainedAdmin
from llmrec_plugin.models import Experiment

ROOT = Path(__file__).resolve().parents[2]
CATALOGUES = sorted(ROOT.glob("*/locale/zh_Hans/LC_MESSAGES/django.po"))
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%s|%d|\{\w*\}")


def test_the_plugin_and_the_demo_have_a_catalogue() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in CATALOGUES} == {"llmrec_plugin", "project"}


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.relative_to(ROOT).parts[0])
def test_no_string_is_missing_or_fuzzy(path: Path) -> None:
    catalogue = polib.pofile(str(path))
    assert [entry.msgid for entry in catalogue.untranslated_entries() + catalogue.fuzzy_entries()] == []


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.relative_to(ROOT).parts[0])
def test_translations_keep_every_placeholder(path: Path) -> None:
    for entry in polib.pofile(str(path)):
        expected = set(PLACEHOLDER.findall(entry.msgid_plural or entry.msgid))
        for text in entry.msgstr_plural.values() if entry.msgid_plural else [entry.msgstr]:
            assert set(PLACEHOLDER.findall(text)) == expected, entry.msgid


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.relative_to(ROOT).parts[0])
def test_the_compiled_file_is_current(path: Path) -> None:
    found = polib.mofile(str(path.with_suffix(".mo")))
    compiled = {(entry.msgctxt, entry.msgid): entry for entry in found}
    for entry in polib.pofile(str(path)):
        same = compiled[entry.msgctxt, entry.msgid]
        assert (same.msgstr, same.msgstr_plural) == (entry.msgstr, entry.msgstr_plural)


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.relative_to(ROOT).parts[0])
def test_chinese_has_chinese_punctuation(path: Path) -> None:
    halved = re.compile(r"[\u4e00-\u9fff][,:;?!][\u4e00-\u9fff]")
    texts = [
        text for entry in polib.pofile(str(path)) for text in (entry.msgstr, *entry.msgstr_plural.values())
    ]
    assert [text for text in texts if halved.search(text)] == []


def test_a_state_is_not_called_by_the_name_of_its_time() -> None:
    with translation.override("zh-hans"):
        assert (Experiment.State.STOPPED.label, Experiment._meta.get_field("stopped_at").verbose_name) == (
            "已停止",
            "停止时间",
        )


def test_what_a_list_says_of_itself_follows_the_language_of_the_request() -> None:
    lists = [one for one in admin.site._registry.values() if isinstance(one, ExplainedAdmin)]
    assert len(lists) >= 5
    with translation.override("zh-hans"):
        assert [
            one.opts.model_name for one in lists if not re.search("[\u4e00-\u9fff]", one.get_about())
        ] == []
