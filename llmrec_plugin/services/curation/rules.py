"""Rules of editors, as each process remembers them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias, cast

from llmrec_plugin.analysis.text import fold
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.models import Configuration, Rule
from llmrec_plugin.ranking.rules import Action
from llmrec_plugin.services.coordination.versioned_cache import VersionedCache
from llmrec_plugin.services.items.filter_parsing import read_filters
from llmrec_plugin.types import ContributionCode, Filter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class KnownRule:
    """A frozen record of a row that was read, ready to be compared."""

    id: int
    action: Action
    items: tuple[str, ...]
    item_filters: tuple[Filter, ...]
    place: int
    strength: float
    match: str
    phrases: tuple[str, ...]
    """Folded."""
    list_filters: tuple[Filter, ...]
    placements: frozenset[str]
    audience: str
    starts_at: datetime | None
    ends_at: datetime | None

    @property
    def name(self) -> str:
        return str(ContributionCode("rule", str(self.id)))


RulesByDocument: TypeAlias = Mapping[str, tuple[KnownRule, ...]]


def rules_in_effect(configuration: Configuration) -> RulesByDocument:
    """Return the rules by document, in the order of their priority: those that are tried out, or else the
    enabled ones, remembered as long as the configuration stands; one query after a change."""
    previewed = _previewed.get()
    return _remembered.get(configuration) if previewed is None else previewed


@contextmanager
def preview_rules(rows: Iterable[Rule]) -> Iterator[None]:
    """Have these rules be in effect within it, for this thread alone: to look before others see it."""
    token = _previewed.set(_by_document(rows))
    try:
        yield
    finally:
        _previewed.reset(token)


def _read() -> RulesByDocument:
    """Return the enabled rules by document; one query."""
    return _by_document(Rule.objects.filter(enabled=True).order_by("priority", "id"))


def _by_document(rows: Iterable[Rule]) -> RulesByDocument:
    rules: dict[str, list[KnownRule]] = {}
    for row in rows:
        try:
            rules.setdefault(row.document, []).append(parse_rule(row))
        except LlmrecError as error:  # the declaration has changed since; the admin says so, too
            logger.warning("rule left out rule=%s error=%s", row.pk, error)
    return {label: tuple(found) for label, found in rules.items()}


_previewed: ContextVar[Mapping[str, tuple[KnownRule, ...]] | None] = ContextVar(
    "previewed rules", default=None
)
_remembered = VersionedCache[Mapping[str, tuple[KnownRule, ...]]](_read, empty={})


def parse_rule(row: Rule) -> KnownRule:
    """Return the rule that the row tells of.

    Raises NotFound for an unknown document, and InvalidRequest, naming it, for a filter it lacks.
    """
    kinds = registry.get(row.document).filter_kinds()
    return KnownRule(
        id=row.pk or 0,
        action=cast(Action, row.action),
        items=tuple(row.items),
        item_filters=read_filters(row.item_filters, kinds),
        place=row.place,
        strength=row.strength,
        match=row.match,
        phrases=tuple(" ".join(fold(phrase).split()) for phrase in row.phrases),
        list_filters=read_filters(row.list_filters, kinds),
        placements=frozenset(row.placements),
        audience=row.audience,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
    )
