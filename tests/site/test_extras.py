"""What an installation without extras can do, and how it says what the rest needs."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from llmrec_plugin import checks, extras
from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import ConfigurationError
from tests.site.test_checks import document
from tests.support.indexed import declared

ROOT = Path(__file__).resolve().parents[2]
HIDDEN = [
    "billiard",
    "celery",
    "datasets",
    "drf_spectacular",
    "elasticsearch",
    "httpx",
    "hypothesis",
    "jieba",
    "kombu",
    "opencc",
    "peft",
    "prometheus_client",
    "psycopg",
    "py3langid",
    "pypinyin",
    "pytest",
    "pytest_django",
    "redis",
    "rest_framework",
    "sentence_transformers",
    "torch",
    "transformers",
]
"""What the extras bring, and what that brings."""
OF_TESTS = "contracts"
"""For a site's tests, so that `all`, by which sites serve, is without it."""


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def bare_site(*hidden: str) -> dict[str, Any]:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.bare_site", "--hide", *hidden],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    told: dict[str, Any] = json.loads(finished.stdout)
    return told


@pytest.mark.crash  # a process of its own
def test_a_site_without_any_extra_checks_migrates_indexes_and_searches() -> None:
    told = bare_site(*HIDDEN)
    assert told["english"][0] == "Bread bakers"
    assert told["chinese"][0] == "清华大学 readers"
    assert [message.partition(":")[0] for message in told["checks"]] == ["llmrec_plugin.W005"]
    assert 'pip install "llmrec-plugin[zh]"' in told["checks"][0]
    assert "celery" in told["schedule"]
    assert 'pip install "llmrec-plugin[celery]"' in told["schedule"]
    assert told["urls"] == (
        'llmrec_plugin.api.urls needs djangorestframework: pip install "llmrec-plugin[rest]".'
    )


@pytest.mark.crash  # a process of its own
def test_a_site_with_every_extra_has_nothing_to_install() -> None:
    told = bare_site()
    assert (told["checks"], told["schedule"], told["urls"]) == ([], "", "")
    assert told["chinese"][0] == "清华大学 readers"


WITHOUT_A_DOCUMENT = """
import sys
sys.modules["drf_spectacular"] = None
import django
django.setup()
from django.test import Client
client = Client()
for name in ("schema", "docs"):
    answer = client.get(f"/api/{name}/")
    print(answer.status_code, answer.json()["code"], answer.json()["detail"])
print(client.get("/api/search/?x=1").json()["code"])
"""


@pytest.mark.crash  # a process of its own
def test_rest_does_without_drf_spectacular_and_says_where_its_document_would_be() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_DOCUMENT],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.support.no_document_settings"},
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    sentence = 'The OpenAPI document needs drf-spectacular: pip install "llmrec-plugin[openapi]".'
    assert finished.stdout.splitlines() == [f"404 not_installed {sentence}"] * 2 + ["invalid_request"]


def brought(extra: str) -> set[str]:
    """Packages that the extra installs, by itself and by the extras that it names."""
    found: set[str] = set()
    for requirement in project()["optional-dependencies"][extra]:
        name, _bracket, inner = re.match(r"([\w-]+)(\[([\w,-]+)\])?", requirement).groups()  # type: ignore[union-attr]
        found |= {name} if name != "llmrec-plugin" else set().union(*map(brought, inner.split(",")))
    return found


@pytest.mark.parametrize("extra", sorted(extras.PACKAGES))
def test_an_extra_that_is_told_of_brings_the_packages_that_are_named(extra: str) -> None:
    assert set(extras.PACKAGES[extra]) <= brought(extra)
    assert set(extras.PACKAGES[extra]) <= brought("all") or extra == OF_TESTS
    assert not set(extras.PACKAGES[OF_TESTS]) & brought("all")


def test_contracts_say_what_brings_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "llmrec_plugin.contracts", raising=False)
    with pytest.raises(ConfigurationError) as raised:
        importlib.import_module("llmrec_plugin.contracts")
    assert str(raised.value) == (
        'llmrec_plugin.contracts needs hypothesis: pip install "llmrec-plugin[contracts]".'
    )


def test_where_django_has_no_tasks_a_check_says_what_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("django.tasks", "django_tasks"):
        monkeypatch.setitem(sys.modules, module, None)
    with override_settings(LLMREC={**django_settings.LLMREC, "TASKS": "django"}):
        (message,) = checks.check_extras()
        assert get_settings().tasks_run_in == "off"
    assert 'LLMREC["TASKS"] = "django" needs django-tasks: pip install "llmrec-plugin[' in message.msg


def test_no_package_of_an_extra_is_demanded_of_every_site() -> None:
    demanded = " ".join(project()["dependencies"])
    assert {name for names in extras.PACKAGES.values() for name in names if name in demanded} == set()


@pytest.mark.parametrize(
    ("settings", "module", "said"),
    [
        (
            {"TASKS": "celery"},
            "celery",
            'LLMREC["TASKS"] = "celery" needs celery: pip install "llmrec-plugin[celery]"',
        ),
        ({"SCHEDULE": {"fit_models": None}}, "celery", 'LLMREC["SCHEDULE"] needs celery'),
        (
            {"BACKEND": "llmrec_plugin.backends.elasticsearch"},
            "elasticsearch",
            "llmrec-plugin[elasticsearch]",
        ),
        ({"ENCODER": "http://127.0.0.1:1/v1"}, "httpx", 'needs httpx: pip install "llmrec-plugin[http]"'),
    ],
)
def test_a_setting_that_needs_an_extra_is_an_error_that_says_the_line(
    settings: dict[str, Any], module: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with override_settings(LLMREC={**django_settings.LLMREC, **settings}):
        assert checks.check_extras() == []
        monkeypatch.setitem(sys.modules, module, None)
        (message,) = checks.check_extras()
        assert checks.check_settings() == []
    assert message.id == "llmrec_plugin.E007"
    assert said in message.msg
    assert "pip install" in str(message.hint)


def test_an_encoder_that_a_document_names_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with declared(document(encoder="https://encoders.example/v1")):
        (message,) = checks.check_extras()
    assert "https://encoders.example/v1" in message.msg


@pytest.mark.parametrize(
    ("languages", "module", "number"),
    [
        (["en", "zh-Hant"], "opencc", "W005"),
        (["en", "de"], "py3langid", "W006"),
        (["ru", "uk"], "py3langid", "W006"),
    ],
)
def test_languages_that_need_an_extra_are_a_warning(
    languages: list[str], module: str, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with override_settings(LLMREC={**django_settings.LLMREC, "LANGUAGES": languages}):
        (message,) = checks.check_extras()
    assert message.id == f"llmrec_plugin.{number}"
    assert "pip install" in str(message.hint)


def test_languages_that_need_none_are_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("jieba", "opencc", "py3langid"):
        monkeypatch.setitem(sys.modules, module, None)
    with override_settings(LLMREC={**django_settings.LLMREC, "LANGUAGES": ["en", "ja", "ru"]}):
        assert checks.check_extras() == []


@pytest.mark.parametrize(("chosen", "place"), [("auto", "process"), ("celery", "off"), ("off", "off")])
def test_without_celery_tasks_run_in_the_process_or_wait_for_it(
    chosen: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "celery", None)
    with override_settings(LLMREC={**django_settings.LLMREC, "TASKS": chosen}):
        assert get_settings().tasks_run_in == place
