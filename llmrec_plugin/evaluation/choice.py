"""Which of several to take, from what was measured of each on the same cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from llmrec_plugin.evaluation.comparison import Contrast


class Choice(NamedTuple):
    """One of the candidates, and why it."""

    name: str
    why: str


def choose(
    quality: Mapping[str, float], speed: Mapping[str, float], differences: Iterable[Contrast]
) -> Choice:
    """A candidate that is proven worse than none, on no metric, and of those the fastest.

    Where each is worse than another on some metric, the one with the highest `quality`. Of equal ones the
    first is taken.
    """
    worse: dict[str, None] = {}
    for found in differences:
        if found.low > 0:
            worse[found.baseline] = None
        elif found.high < 0:
            worse[found.method] = None
    left = [name for name in quality if name not in worse]
    if not left:
        best = max(quality, key=lambda name: quality[name])
        return Choice(
            best, "Each is proven worse than another on some metric: the one with the highest mean."
        )
    fastest = max(left, key=lambda name: speed[name])
    if not worse:
        return Choice(fastest, "No difference in quality is more than chance: the fastest.")
    beaten = f"Proven worse on some metric: {', '.join(worse)}"
    if len(left) == 1:
        return Choice(fastest, f"{beaten}; this one on none.")
    return Choice(fastest, f"{beaten}; of the others, which are not, the fastest.")
