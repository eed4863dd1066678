"""The code of one addend of a score: the only place where codes are read and written."""

from __future__ import annotations

from typing import NamedTuple


class ContributionCode(NamedTuple):
    """A frozen value that says what gave an addend of a score, and to what it goes back.

    As text, which is what rows, REST and `RankedItem.contributions` hold, it is `name` or `name:source`; a
    source may hold a colon itself.
    """

    name: str
    """Of a registered `Contribution`, such as "taste"."""
    source: str = ""
    """The key of a past item, the number of a rule; empty: it goes back to no single one."""

    @classmethod
    def parse(cls, text: str) -> ContributionCode:
        """Return the code that this is the text of; any text is one."""
        name, _, source = text.partition(":")
        return cls(name, source)

    def __str__(self) -> str:
        return f"{self.name}:{self.source}" if self.source else self.name
