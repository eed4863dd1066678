"""What stands in settings.LLMREC, and whether what it asks for is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, register
from django.utils.module_loading import import_string

from llmrec_plugin import extras
from llmrec_plugin.analysis.languages import are_told_apart_by_a_model, configured
from llmrec_plugin.checks.engines import NEEDED
from llmrec_plugin.checks.messages import error, warning
from llmrec_plugin.conf import Settings, get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.event_kinds import event_kinds, unknown_kind
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.services.curation.placements import check_filters, declared_placements


@register("llmrec")
def check_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E001, E003 to E006 and E040."""
    try:
        settings = get_settings()
    except ConfigurationError as problem:
        return [error(1, str(problem), "Mend settings.LLMREC.")]
    found: list[CheckMessage] = []
    try:
        import_string(settings.USER_RESOLVER)
    except ImportError as problem:
        cure = "Name a function (request) -> str | None by its dotted path."
        found.append(error(3, f'LLMREC["USER_RESOLVER"] cannot be imported: {problem}', cure))
    try:
        for placement in declared_placements().values():
            check_filters(placement)
    except ConfigurationError as problem:
        found.append(error(4, str(problem), 'Mend LLMREC["PLACEMENTS"].'))
    for kind in settings.BROWSER_KINDS or ():
        if kind not in event_kinds:
            cure = "Name kinds of events, or None for all that are declared for browsers."
            found.append(error(40, f'LLMREC["BROWSER_KINDS"]: {unknown_kind(kind)}', cure))
    if settings.SCHEDULE.is_changed and extras.is_installed("celery"):
        found.extend(_schedule())
    try:
        _ = settings.data_dir
    except ConfigurationError as problem:
        found.append(error(6, str(problem), 'Set LLMREC["DATA_DIR"] or BASE_DIR.'))
    return found


@register("llmrec")
def check_extras(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E007, W005 and W006: what the settings and documents ask for is not installed."""
    try:
        settings = get_settings()
    except ConfigurationError:
        return []  # E001 says so
    needed = [*_needed(settings), *_encoders(settings)]
    found = [
        error(7, extras.missing(extra, what), f"Run {extras.pip_line(extra)}, or change the setting.")
        for extra, what in needed
        if not extras.is_installed(extra)
    ]
    return [*found, *_languages()]


@register("llmrec", deploy=True)
def check_throttles(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """W004, of `check --deploy`."""
    if not extras.is_installed("rest"):
        return []
    from rest_framework.settings import api_settings

    if api_settings.NUM_PROXIES is not None:
        return []
    message = (
        'REST_FRAMEWORK["NUM_PROXIES"] is not set: whoever writes another X-Forwarded-For into each request '
        "is another visitor to the throttles of the REST endpoints."
    )
    cure = "Set it to the number of proxies in front of the site; 0: there is none."
    return [warning(4, message, cure)]


def _needed(settings: Settings) -> Iterator[tuple[str, str]]:
    """(extra, what needs it) of single settings."""
    if settings.TASKS == "celery":
        yield "celery", 'LLMREC["TASKS"] = "celery"'
    if settings.TASKS == "django" and not extras.has_django_tasks():
        yield "django-tasks", 'LLMREC["TASKS"] = "django"'
    if settings.SCHEDULE.is_changed:
        yield "celery", 'LLMREC["SCHEDULE"]'
    if settings.BACKEND in NEEDED:
        yield NEEDED[settings.BACKEND], f'LLMREC["BACKEND"] = "{settings.BACKEND}"'


def _encoders(settings: Settings) -> Iterator[tuple[str, str]]:
    """Those on a server; what runs in a process may be installed where it runs alone."""
    names = [settings.ENCODER, *(_encoder_of(document) for document in registry)]
    for name in dict.fromkeys(names):
        if name.startswith(("http://", "https://")):
            yield "http", f'The encoder "{name}"'


def _encoder_of(document: Any) -> str:
    named = document.encoder
    return str(getattr(named, "name", named or ""))


def _languages() -> Iterator[CheckMessage]:
    """Texts are found without these extras, only less well."""
    if "zh" in configured().codes and not extras.is_installed("zh"):
        cure = (
            f'Run {extras.pip_line("zh")}, then `manage.py llmrec build`; or leave "zh" out of '
            'LLMREC["LANGUAGES"]. Until then Chinese is found by pairs of characters, and traditional '
            "characters do not find simplified ones."
        )
        yield warning(5, extras.missing("zh", 'Chinese, which LLMREC["LANGUAGES"] names,'), cure)
    if are_told_apart_by_a_model() and not extras.is_installed("languages"):
        cure = (
            f"Run {extras.pip_line('languages')}, then `manage.py llmrec build`; or give each document its "
            "`language`. Until then the language of a text that shares its script with another is unknown."
        )
        yield warning(6, extras.missing("languages", 'Telling LLMREC["LANGUAGES"] apart'), cure)


def _schedule() -> Iterator[CheckMessage]:
    """Only asked where there is something to check: it imports Celery."""
    from llmrec_plugin import schedule

    try:
        schedule.entries()
    except ConfigurationError as problem:
        yield error(5, str(problem), 'Mend LLMREC["SCHEDULE"].')
