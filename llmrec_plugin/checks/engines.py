"""Whether engine, encoders and reranker are what settings say, and take the options that they are given.

Their modules are imported and their options read: no engine is made, no server asked, no model loaded.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, register

from llmrec_plugin import extras
from llmrec_plugin.backends import engine_class
from llmrec_plugin.checks.messages import error
from llmrec_plugin.conf import Settings, get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.encoders.base import EncoderSpec, check_encoder
from llmrec_plugin.encoders.reranking import check_reranker
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.suggest import hint

NEEDED = {"llmrec_plugin.backends.elasticsearch": "elasticsearch"}
"""Engines that need an extra."""
_ENGINES = ("llmrec_plugin.backends.embedded", *NEEDED, "llmrec_plugin.backends.memory")


@register("llmrec")
def check_engines(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E002, E038 and E039."""
    try:
        settings = get_settings()
    except ConfigurationError:
        return []  # E001 says so
    return [*_engine(settings), *_encoders(settings), *_reranker(settings)]


def _engine(settings: Settings) -> Iterator[CheckMessage]:
    path = settings.BACKEND
    if not _is_there(path):
        message = f'LLMREC["BACKEND"] is "{path}", and there is no such module. {hint(path, _ENGINES)}'
        yield error(2, message, f'The engine that needs no server is "{_ENGINES[0]}".')
        return
    if path in NEEDED and not extras.is_installed(NEEDED[path]):
        return  # E007 says so
    try:
        engine = engine_class(path)
    except ConfigurationError as problem:
        yield error(2, str(problem), 'Export a subclass of SearchBackend, or mend LLMREC["BACKEND"].')
        return
    try:
        engine.check_options(settings.BACKEND_OPTIONS)
    except ConfigurationError as problem:
        yield error(38, str(problem), 'Mend LLMREC["BACKEND_OPTIONS"].')


def _encoders(settings: Settings) -> Iterator[CheckMessage]:
    """Yield what is wrong with the encoder of the settings, and with those that documents name."""
    specs: list[tuple[EncoderSpec, object]] = [
        (EncoderSpec(name=settings.ENCODER, options=settings.ENCODER_OPTIONS), None)
    ]
    specs += [(document.encoder_spec(), type(document)) for document in registry]
    told = set()
    for spec, owner in specs:
        name: object = spec.name
        if not isinstance(name, str):
            continue  # E026 says so
        try:
            check_encoder(spec)
        except ConfigurationError as problem:
            if str(problem) not in told:
                told.add(str(problem))
                cure = "Mend encoder_options." if owner else 'Mend LLMREC["ENCODER"] or ["ENCODER_OPTIONS"].'
                yield error(39, str(problem), cure, owner)


def _reranker(settings: Settings) -> Iterator[CheckMessage]:
    if settings.RERANK is None:
        return
    try:
        check_reranker(EncoderSpec(name=settings.RERANK.model, options=settings.RERANK.options))
    except ConfigurationError as problem:
        yield error(39, f'LLMREC["RERANK"]: {problem}', 'Mend LLMREC["RERANK"].')


def _is_there(path: str) -> bool:
    """Return whether there is a module; it is not run for that, since it may need what is not installed."""
    try:
        return importlib.util.find_spec(path) is not None
    except (ImportError, ValueError):
        return False
