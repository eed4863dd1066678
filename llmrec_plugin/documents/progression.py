"""In which order items can be taken: what must come before one, and how hard it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Progression:
    """What `SearchDocument.progression` declares; each part may be left out.

    progression = Progression(requires="prerequisites", level="level", within="subject")
    """

    requires: str = ""
    """Relation from an item to the items of the same model that must have been taken before it."""
    level: str = ""
    """Number that grows with how hard an item is: nobody is led up by more than one level at a time."""
    within: str = ""
    """Field whose values part the items into subjects, each with levels of its own; empty: there is one."""
