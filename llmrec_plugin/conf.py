"""settings.LLMREC as one frozen value: what a deploy decides; editors' choices are `models.Configuration`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.dispatch import receiver

from llmrec_plugin import extras
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.suggest import hint


@dataclass(frozen=True, kw_only=True)
class Reranking:
    """LLMREC["RERANK"], read and checked."""

    model: str
    items: int = 20
    seconds: float = 1.0
    weight: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every key of settings.LLMREC with its default."""

    ENABLED: bool = True
    """False: plain BM25 without vectors, personal taste or stored events, at once and everywhere."""
    BACKEND: str = "llmrec_plugin.backends.embedded"
    """Dotted path of a module that exports `SearchBackend`."""
    BACKEND_OPTIONS: Mapping[str, Any] = field(default_factory=dict)
    """Passed to the engine; an unknown one is an error. Embedded: `dtype` ("float32" or "float16"),
    `busy_timeout` (seconds). Elasticsearch ("llmrec_plugin.backends.elasticsearch"): hosts, api_key or
    basic_auth, ca_certs, verify_certs, compress, connections, request_timeout, write_timeout, retries,
    index_prefix, shards, replicas, refresh_interval, refresh, quantization, oversample, chunk_bytes."""
    ENCODER: str = "intfloat/multilingual-e5-small"
    """Model id, path, http(s) URL or module; a SearchDocument may name its own."""
    ENCODER_OPTIONS: Mapping[str, Any] = field(default_factory=dict)
    """Passed to the encoder: max_length, batch_size, dtype, device, threads, revision, query_prompt,
    document_prompt, pooling, dimensions; for a URL also model, api_key, api_key_env (the environment
    variable that holds it), timeout, query_timeout, retries, max_characters."""
    RERANK: Mapping[str, Any] = field(default_factory=dict)
    """Has the first results of a search read beside the query by a cross-encoder: {"model": id, path or
    module, "items": 20, "seconds": 1.0, "weight": 1.0, "options": {}}; empty: not. In time or not at all:
    after so many seconds results stay as they were found. The best of them gains `weight`, the worst none.
    Options of a cross-encoder: max_length, device, revision."""
    DATA_DIR: str | Path = ""
    """Folder for indexes and converted models; empty: `.llmrec` beside manage.py (BASE_DIR)."""
    INDEX_PREFIX: str = "llmrec"
    """First part of index names: give each site its own where several share an engine or a DATA_DIR."""
    LANGUAGES: Sequence[str] = ("en", "zh")
    """ISO 639-1 codes of the languages that items and queries are written in."""
    DICTIONARY: str | Path = ""
    """File of words that the Chinese segmenter keeps whole, one per line (jieba's user dictionary)."""
    PLACEMENTS: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Named slots beside the built-in ones: {"name": {"type", "document", "size", "hide", "anchor",
    "filters", "diversity", "fresh", "fallback"}}; a row of the admin replaces the one of its name."""
    USER_RESOLVER: str = "llmrec_plugin.visitors.resolve_user_key"
    """Dotted path of `(request) -> str | None`, the key under which a visitor's events are kept."""
    CONSENT: str = "opt-out"
    """"opt-out": personal unless refused; "opt-in": only with recorded consent; "off": never personal."""
    SUGGEST_MIN_VISITORS: int = 5
    """A search is suggested to others, and told of to editors, once so many visitors have made it."""
    EVENT_RETENTION_DAYS: int = 730
    """Interactions and impressions older than this are deleted by `retention`."""
    PAGE_LIFETIME_SECONDS: int = 1800
    """How long the cursors of a ranked list stay valid."""
    DRAIN_BATCH: int = 512
    """Outbox entries that one drain takes at a time. A worker has a quarter of an hour for them: fewer, where
    the encoder needs more than a second per text."""
    LEASE_SECONDS: int = 300
    """How long a claim or lock holds without a sign of life."""
    VERSION_GRACE_SECONDS: int = 86_400
    """How long a replaced index or model version is kept for rollback."""
    MODELS_KEPT: int = 10
    """Newest model versions of a document that are kept beside the live one, and what was live within the
    grace time; of others only the report stays."""
    TASKS: str = "auto"
    """"auto": Celery where it is installed (extra `celery`) and a broker is set, else in the process;
    "celery"; "process"; "off": only commands and beat drain."""
    SCHEDULE: Mapping[str, Any] = field(default_factory=dict)
    """When beat sends which task, over the defaults: {task: seconds, "minute hour day month weekday",
    a celery schedule, or None for never}. Tasks: drain_outbox, refill_lost, refresh_profiles,
    audit_indexes, measure_drift, fit_models, measure_search, keep_list_sums, apply_retention,
    count_queries, suggest_synonyms."""
    TRAINING_MIN_EVENTS: int = 100
    """A scheduled training is left out while fewer events came in since the last one."""
    TRAINING_SECONDS: int = 3600
    """Time budget of a training that the schedule started; then it is stopped, and the live model stays."""
    DIFFERENTIAL_PRIVACY: Mapping[str, float] = field(default_factory=dict)
    """{"epsilon": 8, "delta": 1e-5, "total_epsilon": 24}: models are learned with noise that hides each user;
    a training tells at most `epsilon` of him, all together `total_epsilon` (left out: not limited). Empty: no
    noise."""
    METRICS_TOKEN: str = ""
    """By which Prometheus may read `metrics/` (Authorization: Bearer …); staff may in any case."""

    @property
    def reranking(self) -> Reranking | None:
        return Reranking(**self.RERANK) if self.RERANK else None

    @property
    def tasks_run_in(self) -> str:
        """Where TASKS has them done: "celery", "process" or "off". A site that demands Celery and lacks it
        is told so by a system check; its saves wait in the backlog."""
        if self.TASKS in ("process", "off"):
            return self.TASKS
        if not extras.is_installed("celery"):
            return "process" if self.TASKS == "auto" else "off"
        from celery import current_app

        return "celery" if self.TASKS == "celery" or current_app.conf.broker_url else "process"

    @property
    def data_dir(self) -> Path:
        if self.DATA_DIR:
            return Path(self.DATA_DIR)
        base = getattr(django_settings, "BASE_DIR", None)
        if base is None:
            raise ConfigurationError(
                'LLMREC["DATA_DIR"] is not set and settings has no BASE_DIR: set one of them to a folder '
                "that web and worker processes can write."
            )
        return Path(base) / ".llmrec"

    def make_folder(self, folder: Path) -> None:
        """Make a folder inside of `data_dir`. Where that is new, too, version control is told to leave it
        alone: indexes and models of half a gigabyte may lie in a site's repository."""
        is_new = not self.data_dir.exists()
        folder.mkdir(parents=True, exist_ok=True)
        if is_new and self.data_dir.exists():
            (self.data_dir / ".gitignore").write_text("*\n", encoding="utf-8")


_DICTS = ("BACKEND_OPTIONS", "ENCODER_OPTIONS", "RERANK", "PLACEMENTS", "SCHEDULE", "DIFFERENTIAL_PRIVACY")
_TEXTS = ("BACKEND", "ENCODER", "INDEX_PREFIX", "USER_RESOLVER", "METRICS_TOKEN")
_KINDS: Mapping[str, tuple[Any, str]] = {
    "ENABLED": (bool, "True or False"),
    **dict.fromkeys(_DICTS, (Mapping, "a dict")),
    **dict.fromkeys(_TEXTS, (str, "a text")),
    **dict.fromkeys(("DATA_DIR", "DICTIONARY"), (str | Path, "a path")),
}
_CHOICES = {"CONSENT": ("opt-out", "opt-in", "off"), "TASKS": ("auto", "celery", "process", "off")}
_POSITIVE = (
    "SUGGEST_MIN_VISITORS",
    "EVENT_RETENTION_DAYS",
    "PAGE_LIFETIME_SECONDS",
    "DRAIN_BATCH",
    "LEASE_SECONDS",
    "VERSION_GRACE_SECONDS",
    "TRAINING_MIN_EVENTS",
    "TRAINING_SECONDS",
    "MODELS_KEPT",
)
DEFAULT_SCHEDULE: Mapping[str, int | str] = {
    "drain_outbox": 30,
    "refill_lost": 300,
    "refresh_profiles": 60,
    "audit_indexes": "17 3 * * *",
    "measure_drift": "27 3 * * 1",
    "fit_models": "47 3 * * *",
    "measure_search": "17 4 * * *",
    "keep_list_sums": "27 4 * * *",
    "apply_retention": "37 4 * * *",
    "count_queries": 3600,
    "suggest_synonyms": "7 4 * * *",
}
"""Task -> seconds, or minute, hour, day of month, month and weekday. Times of day rather than long intervals:
a beat that is started anew every day would never reach the end of one."""


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The validated settings; raises ConfigurationError naming the key and, for a typo, the nearest one."""
    given = getattr(django_settings, "LLMREC", {})
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"settings.LLMREC must be a dict, not {type(given).__name__}.")
    known = {f.name for f in fields(Settings)}
    for key in given:
        if key not in known:
            raise ConfigurationError(
                f'settings.LLMREC has an unknown key "{key}". {hint(key, sorted(known))}'
            )
    settings = Settings(**given)
    _validate(settings)
    return settings


def _validate(settings: Settings) -> None:
    _validate_types(settings)
    for name, choices in _CHOICES.items():
        if getattr(settings, name) not in choices:
            raise ConfigurationError(
                f'LLMREC["{name}"] is {getattr(settings, name)!r}; '
                f"it must be one of {', '.join(map(repr, choices))}."
            )
    for name in _POSITIVE:
        value = getattr(settings, name)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise ConfigurationError(f'LLMREC["{name}"] is {value!r}; it must be a whole number above 0.')
    if settings.RERANK:
        _validate_rerank(settings.RERANK)
    for task, when in settings.SCHEDULE.items():
        _validate_schedule(task, when)
    _validate_privacy(settings.DIFFERENTIAL_PRIVACY)


def _validate_types(settings: Settings) -> None:
    """What comes from the environment is text, and "False" would be true. Values may be secret, so none is
    told."""
    for name, (kind, words) in _KINDS.items():
        value = getattr(settings, name)
        if not isinstance(value, kind):
            raise ConfigurationError(f'LLMREC["{name}"] must be {words}, not {type(value).__name__}.')
    codes = settings.LANGUAGES
    if isinstance(codes, str) or not codes or not all(isinstance(code, str) for code in codes):
        raise ConfigurationError('LLMREC["LANGUAGES"] must be a list of language codes such as ["en", "zh"].')


def _validate_privacy(given: Mapping[str, Any]) -> None:
    if not given:
        return
    known = ("epsilon", "delta", "total_epsilon")
    if "epsilon" not in given or not given.keys() <= set(known):
        raise ConfigurationError(
            f'LLMREC["DIFFERENTIAL_PRIVACY"] has the keys {sorted(given)}; it needs "epsilon", and may have '
            '"delta" and "total_epsilon".'
        )
    for key, value in given.items():
        limit = 1 if key == "delta" else math.inf
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < limit:
            raise ConfigurationError(
                f'LLMREC["DIFFERENTIAL_PRIVACY"]["{key}"] is {value!r}; it must be a number above 0'
                + (" and below 1." if key == "delta" else ".")
            )
    if given.get("total_epsilon", math.inf) < given["epsilon"]:
        raise ConfigurationError(
            'LLMREC["DIFFERENTIAL_PRIVACY"]: "epsilon" of one training is more than "total_epsilon" of all.'
        )


def _validate_rerank(given: Mapping[str, Any]) -> None:
    known = [f.name for f in fields(Reranking)]
    for key in given:
        if key not in known:
            raise ConfigurationError(f'LLMREC["RERANK"] has an unknown key "{key}". {hint(key, known)}')
    expected = {
        "model": (isinstance(given.get("model"), str) and bool(given["model"]), "a model id, path or module"),
        "items": (_is_number(given.get("items", 1), int) and 1 <= given.get("items", 1) <= 200, "1 to 200"),
        "seconds": (_is_number(given.get("seconds", 1), int | float), "a number above 0"),
        "weight": (_is_number(given.get("weight", 1), int | float), "a number above 0"),
        "options": (isinstance(given.get("options", {}), Mapping), "a dict"),
    }
    for key, (fits, words) in expected.items():
        if not fits:
            raise ConfigurationError(f'LLMREC["RERANK"]["{key}"] is {given.get(key)!r}; it must be {words}.')


def _is_number(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and 0 < value < float("inf")


def _validate_schedule(task: str, when: object) -> None:
    """What Celery has to say about a crontab is asked where the schedule is made: llmrec_plugin.schedule."""
    if task not in DEFAULT_SCHEDULE:
        raise ConfigurationError(
            f'LLMREC["SCHEDULE"] names an unknown task "{task}". {hint(task, DEFAULT_SCHEDULE)}'
        )
    if isinstance(when, bool) or (isinstance(when, int | float) and when <= 0):
        raise ConfigurationError(f'LLMREC["SCHEDULE"]["{task}"] is {when!r}; seconds are a number above 0.')


@receiver(setting_changed)
def _reset(*, setting: str, **kwargs: object) -> None:
    if setting in ("LLMREC", "BASE_DIR"):
        get_settings.cache_clear()
