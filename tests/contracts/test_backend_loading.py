"""LLMREC["BACKEND"] names a module; any module that exports `SearchBackend` is an engine."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from llmrec_plugin.backends import embedded, get_backend, memory
from llmrec_plugin.contracts.backend_model import SCHEMA, document, keys, unit
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.types import EngineQuery, EngineResult


class SearchBackend(memory.SearchBackend):
    """Another's engine: this very module is what the setting names."""

    def search(self, name: str, query: EngineQuery) -> EngineResult:
        result = super().search(name, query)
        return EngineResult(vector=result.vector[:1], total=min(result.total, 1))


def configured(**changes: Any) -> override_settings:
    return override_settings(LLMREC={**django_settings.LLMREC, **changes})


def test_the_embedded_engine_is_the_default() -> None:
    assert isinstance(get_backend(), embedded.SearchBackend)


def test_all_threads_get_the_same_engine() -> None:
    with ThreadPoolExecutor(8) as threads:
        assert len({id(engine) for engine in threads.map(lambda _: get_backend(), range(50))}) == 1


def test_an_engine_of_somebody_else_is_used_by_naming_its_module() -> None:
    with configured(BACKEND=__name__):
        engine = get_backend()
        assert type(engine) is SearchBackend
        engine.create_index("llmrec-x", SCHEMA)
        engine.write("llmrec-x", [document("1"), document("2")])
        assert keys(engine.search("llmrec-x", EngineQuery(vector=unit(1))).vector) == ["1"]
    assert isinstance(get_backend(), embedded.SearchBackend)


def test_other_settings_make_another_engine_with_its_options() -> None:
    before = get_backend()
    with configured(BACKEND_OPTIONS={"dtype": "float16"}):
        assert get_backend() is not before
        assert get_backend().options == {"dtype": "float16"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("llmrec_plugin.backends.nowhere", "cannot be imported"),
        ("llmrec_plugin.backends.validation", "exports no class SearchBackend"),
        ("llmrec_plugin.backends.base", "exports no class SearchBackend"),
    ],
)
def test_a_setting_that_names_no_engine_is_explained(path: str, reason: str) -> None:
    with configured(BACKEND=path), pytest.raises(ConfigurationError, match=reason) as caught:
        get_backend()
    assert path in str(caught.value)


@pytest.mark.parametrize(
    ("backend", "options", "reason"),
    [
        ("embedded", {"dtyp": "float16"}, 'Did you mean "dtype"'),
        ("embedded", {"dtype": "float64"}, 'one of "float32", "float16"'),
        ("embedded", {"busy_timeout": "long"}, "busy_timeout"),
        ("embedded", {"busy_timeout": -1}, "busy_timeout"),
        ("memory", {"dtype": "float16"}, "unknown to llmrec_plugin.backends.memory. Known: none"),
    ],
)
def test_options_that_an_engine_does_not_take_are_refused(
    backend: str, options: dict[str, Any], reason: str
) -> None:
    with (
        configured(BACKEND=f"llmrec_plugin.backends.{backend}", BACKEND_OPTIONS=options),
        pytest.raises(ConfigurationError, match=reason),
    ):
        get_backend()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_has_an_engine_too() -> None:
    engine = get_backend()
    engine.create_index("llmrec-x", SCHEMA)
    child = os.fork()
    if child == 0:
        failed = 1
        try:
            get_backend().write("llmrec-x", [document("1")])
            failed = 0
        finally:  # whatever it raises, the child is not to go on with the tests
            os._exit(failed)
    assert os.waitpid(child, 0)[1] == 0
    assert engine.count("llmrec-x") == 1
