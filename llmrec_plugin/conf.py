"""settings.LLMREC as one frozen value: what a deploy decides; editors' choices are `models.Configuration`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.dispatch import receiver

from llmrec_plugin import extras
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.options import SECRET, Positive, Rule, Seconds, above, between, keys_of, read_options


@dataclass(frozen=True, kw_only=True)
class Reranking:
    """LLMREC["RERANK"], read and checked."""

    model: Annotated[str, Rule(bool, ""), "a model id, path or module"]
    items: Annotated[int, between(1, 200)] = 20
    """So many of the first results are read."""
    seconds: Seconds = 1.0
    """In time or not at all: after so many results stay as they were found."""
    weight: Annotated[float, above(0)] = 1.0
    """What the best of them gains; the worst gains nothing."""
    options: Annotated[Mapping[str, Any], SECRET] = field(default_factory=dict)
    """Of a cross-encoder: max_length, device, revision."""


@dataclass(frozen=True, kw_only=True)
class PrivacyBudget:
    """LLMREC["DIFFERENTIAL_PRIVACY"], read and checked."""

    epsilon: Annotated[float, above(0)]
    """What one training tells of each user, at most."""
    delta: Annotated[float, Rule(lambda value: 0 < value < 1, "above 0 and below 1")] = 1e-5
    """The chance that a training tells more."""
    total_epsilon: Annotated[float, above(0)] | None = None
    """What all trainings tell together, at most; None: not limited."""

    def __post_init__(self) -> None:
        if self.total_epsilon is not None and self.total_epsilon < self.epsilon:
            raise ConfigurationError(
                f'LLMREC["DIFFERENTIAL_PRIVACY"]: the "epsilon" of one training is {self.epsilon:g}; it must '
                f'not be above the "total_epsilon" of all, which is {self.total_epsilon:g}.'
            )


TIME = 'seconds above 0, five fields such as "17 3 * * *", a celery schedule, or None'


def _may_be_a_time(value: object) -> bool:
    return not isinstance(value, bool) and not (isinstance(value, int | float) and value <= 0)


When = Annotated[Any, Rule(_may_be_a_time, ""), TIME]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """LLMREC["SCHEDULE"]: task -> seconds, or minute, hour, day of month, month and weekday, or None.

    Times of day rather than long intervals: a beat that is started anew every day would never reach the end
    of one. What Celery has to say about a time is asked where beat is told it: `llmrec_plugin.schedule`.
    """

    drain_outbox: When = 30
    """Index what changed; once an hour, also drop what was replaced long ago."""
    follow_sources: When = 30
    """Make events equal to the rows of the site that tell them, where those changed."""
    mend_indexes: When = 60
    """Build anew what is live and gone or damaged."""
    refill_lost: When = 300
    """Put back what the site's own writes took from the indexes that documents are attached to."""
    refresh_profiles: When = 60
    """Encode what users say about themselves, and cache the tastes of those who did something."""
    audit_indexes: When = "17 3 * * *"
    """Find and mend differences between tables and indexes, and between rows of the site and their events."""
    measure_drift: When = "27 3 * * 1"
    """Compare what people do now with what was learned; where it differs too much, learn anew."""
    fit_models: When = "47 3 * * *"
    """Learn anew for every document that enough happened with since the last time."""
    measure_search: When = "17 4 * * *"
    """Put on record how well search answers the judged queries."""
    keep_list_sums: When = "27 4 * * *"
    """Sum up what the lists of each day led to, before somebody opens the dashboard."""
    apply_retention: When = "37 4 * * *"
    """Delete events that are older than the site keeps them, and models nobody would go back to."""
    count_queries: When = 3600
    """Count what many visitors search for, to suggest it to others."""
    suggest_synonyms: When = "7 4 * * *"
    """Look for words that visitors use for the same thing, for editors to decide on."""

    @property
    def is_changed(self) -> bool:
        """Whether the site has set a time of its own."""
        return self != Schedule()


@dataclass(frozen=True, kw_only=True)
class Limits:
    """LLMREC["LIMITS"], read and checked: times and amounts that few sites have grounds to change."""

    page_lifetime_seconds: Positive = 1800
    """How long the cursors of a ranked list stay valid."""
    drain_batch: Positive = 512
    """Outbox entries that one drain takes at a time. A worker has a quarter of an hour for them: fewer, where
    the encoder needs more than a second per text."""
    lease_seconds: Positive = 300
    """How long a claim or lock holds without a sign of life."""
    version_grace_seconds: Positive = 86_400
    """How long a replaced index or model version is kept for rollback."""
    models_kept: Positive = 10
    """Newest model versions of a document that are kept beside the live one, and what was live within the
    grace time; of others only the report stays."""
    training_seconds: Positive = 3600
    """Time budget of a training that the schedule started; then it is stopped, and the live model stays."""


_NAME = "a letter or digit, then letters, digits, '-', '_' and '.', 40 at most"


def _begins_a_name(value: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", value) is not None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every key of settings.LLMREC with its default."""

    ENABLED: bool = True
    """The switch for an emergency. False: plain BM25 without vectors, personal taste or stored events, at
    once and everywhere; indexes are kept up to date all the same."""
    BACKEND: str = "llmrec_plugin.backends.embedded"
    """Dotted path of a module that exports `SearchBackend`."""
    BACKEND_OPTIONS: Annotated[Mapping[str, Any], SECRET] = field(default_factory=dict)
    """Passed to the engine; an unknown one is an error. Embedded: `dtype` ("float32" or "float16"),
    `busy_timeout` (seconds). Elasticsearch ("llmrec_plugin.backends.elasticsearch"): hosts, api_key or
    basic_auth, ca_certs, verify_certs, compress, connections, request_timeout, write_timeout, retries,
    shards, replicas, refresh_interval, refresh, quantization, oversample, chunk_bytes."""
    ENCODER: str = "intfloat/multilingual-e5-small"
    """Model id, path, http(s) URL or module; a SearchDocument may name its own."""
    ENCODER_OPTIONS: Annotated[Mapping[str, Any], SECRET] = field(default_factory=dict)
    """Passed to the encoder: max_length, batch_size, dtype, device, threads, revision, query_prompt,
    document_prompt, pooling, dimensions; for a URL also model, api_key, api_key_env (the environment
    variable that holds it), timeout, query_timeout, retries, max_characters."""
    RERANK: Reranking | None = None
    """Has the first results of a search read beside the query by a cross-encoder, such as
    {"model": "cross-encoder/ms-marco-MiniLM-L6-v2"}; None: not."""
    DATA_DIR: str | Path = ""
    """Folder for indexes and converted models; empty: `.llmrec` beside manage.py (BASE_DIR)."""
    INDEX_PREFIX: Annotated[str, Rule(_begins_a_name, ""), _NAME] = "llmrec"
    """First part of index names, in lower case: give each site its own where several share an engine or a
    DATA_DIR, or where the cluster's roles go by name."""
    LANGUAGES: Annotated[Sequence[str], Rule(bool, ""), 'a list of language codes such as ["en", "zh"]'] = (
        "en",
        "zh",
    )
    """ISO 639-1 codes of the languages that items and queries are written in."""
    DICTIONARY: str | Path = ""
    """File of words that the Chinese segmenter keeps whole, one per line (jieba's user dictionary)."""
    PLACEMENTS: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Named lists beside the built-in ones: {"name": {"type", "document", "limit", "hide", "anchor",
    "filters", "diversity", "fresh", "fallback"}}; a row of the admin replaces the one of its name."""
    USER_RESOLVER: str = "llmrec_plugin.visitors.resolve_user_key"
    """Dotted path of `(request) -> str | None`, the key under which a visitor's events are kept."""
    CONSENT: Literal["opt-out", "opt-in", "off"] = "opt-out"
    """"opt-out": personal unless refused; "opt-in": only with recorded consent; "off": never personal."""
    BROWSER_KINDS: Sequence[str] | None = None
    """Kinds of events that browsers and apps may send, such as ["view", "click", "cart"]; None: all that are
    declared for them, but of no document those that its InteractionSource tells: what the site's own orders
    say needs nobody's word."""
    SUGGEST_MIN_VISITORS: Positive = 5
    """A search is suggested to others, and told of to editors, once so many visitors have made it."""
    ERASE_DELETED_ACCOUNTS: bool = True
    """Whoever's account is deleted is erased: events, lists, searches and what was derived of them. False:
    the site calls `erase_user` itself."""
    EVENT_RETENTION_DAYS: Positive = 730
    """Interactions and impressions older than this are deleted by `retention`."""
    LIMITS: Limits = field(default_factory=Limits)
    """Times and amounts that few sites have grounds to change, over the defaults."""
    TASKS: Literal["auto", "celery", "django", "process", "off"] = "auto"
    """Where the work that a save leaves is done. "auto": by Celery's workers where it is installed (extra
    `celery`) and a broker is set, else in the process; "celery"; "django": by the workers of Django's own
    tasks (settings.TASKS; on Django 5.2 with the extra `django-tasks`), while cron keeps the schedule;
    "process": by the web process after its response, while what commands and shells save waits for the next
    response that follows a save, or `manage.py llmrec drain`; "off": nowhere, what is saved waits for the
    schedule or that command, as for an import at night. Never within the save itself."""
    SCHEDULE: Schedule = field(default_factory=Schedule)
    """When Celery's beat sends which task, over the defaults: {task: seconds, "minute hour day month
    weekday", a celery schedule, or None}. None: that task is never sent by beat, all others are, and saves
    are not concerned."""
    TRAINING_MIN_EVENTS: Positive = 100
    """A scheduled training is left out while fewer events came in since the last one."""
    DIFFERENTIAL_PRIVACY: PrivacyBudget | None = None
    """Models are learned with noise that hides each user, such as {"epsilon": 8, "total_epsilon": 24}; None:
    without."""
    METRICS_TOKEN: Annotated[str, SECRET] = ""
    """By which Prometheus may read `metrics/` (Authorization: Bearer …); staff may in any case."""

    @property
    def tasks_run_in(self) -> str:
        """Where TASKS has them done: "celery", "django", "process" or "off". A site that demands a queue and
        lacks it is told so by a system check; its saves wait in the backlog."""
        if self.TASKS in ("process", "off"):
            return self.TASKS
        if self.TASKS == "django":
            return "django" if extras.has_django_tasks() else "off"
        if not extras.is_installed("celery"):
            return "process" if self.TASKS == "auto" else "off"
        from celery import current_app

        if current_app.conf.task_always_eager:  # sending a task would do it within the save
            return "process"
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


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The validated settings; raises ConfigurationError naming the key and, for a typo, the nearest one."""
    given = getattr(django_settings, "LLMREC", {})
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"settings.LLMREC must be a dict, not {type(given).__name__}.")
    return read_options(Settings, given, keys_of("LLMREC"))


@receiver(setting_changed)
def _reset(*, setting: str, **kwargs: object) -> None:
    if setting in ("LLMREC", "BASE_DIR"):
        get_settings.cache_clear()
