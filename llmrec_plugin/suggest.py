"""Says which of the known names somebody may have meant: the one "did you mean" of all messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LIKENESS = 0.5
"""From 0, every name is like every other, to 1, only equal ones are (the ratio of `difflib`)."""
LONGEST = 100
"""Characters of a written name that are compared: what comes from a URL may be of any length."""


def nearest(name: object, known: Iterable[str], *, likeness: float = LIKENESS) -> str | None:
    """Return the known name that is most like `name`, whatever its case; None where none is like it."""
    by_lower_case = {one.casefold(): one for one in known}
    found = difflib.get_close_matches(str(name)[:LONGEST].casefold(), by_lower_case, n=1, cutoff=likeness)
    return by_lower_case[found[0]] if found else None


def hint(name: object, known: Iterable[str], *, listed: Iterable[str] | None = None) -> str:
    """Return 'Did you mean "size"? Known: type, size.'; without the question where no known name is like it.

    `listed` is told instead of `known` where all of them would be too many.
    """
    known = list(known)
    near = nearest(name, known)
    question = f'Did you mean "{near}"? ' if near is not None else ""
    return f"{question}Known: {', '.join(known if listed is None else listed) or 'none'}."
