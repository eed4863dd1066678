"""Tells which items a user can take next, by prerequisites and level, as the site's rows have them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Min

from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.documents.progression import Progression
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.services.coordination import site_code
from llmrec_plugin.services.profiles import declared_interests

STEP = 1.0
"""How far above the highest level that the user has taken the next item may be."""


@dataclass(frozen=True, kw_only=True)
class LearnerProgress:
    """A frozen record that tells how far a user has come."""

    document: SearchDocument[Any]
    progression: Progression
    taken: frozenset[str]
    reached: Mapping[Any, float]
    """Highest level taken, by subject."""
    lowest: Mapping[Any, float]
    """Lowest level there is, by subject: where anybody may begin."""
    declared: float | None
    """The level that they say they have."""

    def allowed(self, keys: Collection[str]) -> set[str]:
        """Return those of the items that the user may take next; two queries at most."""
        allowed = set(keys)
        if self.progression.requires and allowed:
            for key, required in _requirements(self.document, self.progression, keys).items():
                if not required <= self.taken:
                    allowed.discard(key)
        if self.progression.level and allowed:
            for key, (subject, level) in _levels(self.document, self.progression, allowed).items():
                if level is not None and level > self._limit(subject):
                    allowed.discard(key)
        return allowed

    def _limit(self, subject: Any) -> float:
        """Return the highest level that they may go on with."""
        limits = [self.lowest.get(subject, 0.0)]
        if subject in self.reached:
            limits.append(self.reached[subject] + STEP)
        if self.declared is not None:
            limits.append(self.declared)
        return max(limits)

    def follow_ups(self) -> dict[str, list[str]]:
        """Map items that lead on from what the user has taken to what they lead on from; one query."""
        relation = self.progression.requires
        if not relation or not self.taken:
            return {}
        pks = [pk for key in sorted(self.taken) if (pk := self.document.to_pk(key)) is not None]
        rows = self.document.get_queryset().filter(**{f"{relation}__in": pks}).order_by()
        found: dict[str, list[str]] = {}
        for pk, required in rows.values_list("pk", relation):
            if str(required) in self.taken:
                found.setdefault(str(pk), []).append(str(required))
        return {key: sorted(required) for key, required in found.items() if key not in self.taken}


def learner_progress(
    document: SearchDocument[Any], *, user_key: str, taken: Iterable[str]
) -> LearnerProgress:
    """Return how far the user has come; three queries at most.

    Raises InvalidRequest where the document declares no progression.
    """
    progression = document.progression
    if progression is None:
        raise InvalidRequest(
            f'"{document.label}" has no order in which its items are taken: declare progression = '
            f"Progression(…) in {type(document).__name__}.",
            parameter="document",
        )
    known = frozenset(taken)
    reached: dict[Any, float] = {}
    lowest: dict[Any, float] = {}
    if progression.level:
        for subject, level in _levels(document, progression, known).values():
            if level is not None:
                reached[subject] = max(level, reached.get(subject, level))
        lowest = _lowest(document, progression)
    return LearnerProgress(
        document=document,
        progression=progression,
        taken=known,
        reached=reached,
        lowest=lowest,
        declared=_declared_level(user_key) if progression.level and user_key else None,
    )


def _requirements(
    document: SearchDocument[Any], progression: Progression, keys: Iterable[str]
) -> dict[str, set[str]]:
    pks = [pk for key in keys if (pk := document.to_pk(key)) is not None]
    rows = document.model._default_manager.filter(pk__in=pks).order_by()
    found: dict[str, set[str]] = {}
    for pk, required in rows.values_list("pk", progression.requires):
        if required is not None:
            found.setdefault(str(pk), set()).add(str(required))
    return found


def _levels(
    document: SearchDocument[Any], progression: Progression, keys: Iterable[str]
) -> dict[str, tuple[Any, float | None]]:
    """Return (subject, level) by item."""
    pks = [pk for key in keys if (pk := document.to_pk(key)) is not None]
    rows = document.model._default_manager.filter(pk__in=pks).order_by()
    fields = ["pk", progression.level, *([progression.within] if progression.within else [])]
    return {
        str(pk): (subject[0] if subject else None, None if level is None else float(level))
        for pk, level, *subject in rows.values_list(*fields)
    }


def _lowest(document: SearchDocument[Any], progression: Progression) -> dict[Any, float]:
    rows = document.get_queryset().order_by().exclude(**{progression.level: None})
    if not progression.within:
        least = rows.aggregate(least=Min(progression.level))["least"]
        return {} if least is None else {None: float(least)}
    grouped = rows.values(progression.within).annotate(least=Min(progression.level))
    return {row[progression.within]: float(row["least"]) for row in grouped}


def _declared_level(user_key: str) -> float | None:
    """Return the highest of the levels that the user documents know of them."""
    unknown: list[float | None] = []
    known = site_code.call(
        declared_interests.PART,
        lambda: [one.level_of(user_key) for one in registry.user_documents],
        otherwise=unknown,
        lacks="profile",
        asks_database=True,
    )
    return max((level for level in known if level is not None), default=None)
