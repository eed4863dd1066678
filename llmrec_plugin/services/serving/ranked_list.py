"""One ranked list, before it is cut into pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.services.deployment.live import LivePair
from llmrec_plugin.services.profiles.taste import UserContext
from llmrec_plugin.services.serving import reasons
from llmrec_plugin.types import RankedItem, Scalar

Facets = Mapping[str, Sequence[tuple[Scalar, int]]]
Words = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class RankedList:
    """A frozen record that tells what a request came to, before its first page."""

    document: SearchDocument[Any]
    placement: str
    items: Sequence[RankedItem]
    context: reasons.ReasonContext
    user: UserContext
    total: int | None = None
    """Candidates there are; None: as many as `items`."""
    text: str = ""
    words: Words = ()
    facets: Facets = field(default_factory=dict)
    degraded: tuple[str, ...] = ()
    pair: LivePair | None = None
    more: Callable[[Sequence[RankedItem], int], Sequence[RankedItem]] | None = None
    """Given the items and a number, so many others, as far as there are any; for a list that turns out too
    short, since its items have vanished."""
    arm: int | None = None
    """Of an experiment; None: it is not part of one."""
    arm_error: str = ""
    """Why the control answered in the arm's place."""
    teams: Mapping[str, int] = field(default_factory=dict)
    """Interleaving: key -> 0, the control put it there, or 1."""
    relaxed: str = ""
    language: str = ""
    did_you_mean: str | None = None
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """These four as of ResultPage."""
    explain: bool = False
    """Its contributions name every past item of the user; results tell them as `history`."""

    @property
    def marked(self) -> str:
        """Return what later pages highlight: what was typed, and its synonyms."""
        return " ".join([self.text, *(word for found in self.synonyms.values() for word in found)])
