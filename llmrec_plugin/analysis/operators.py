"""What a visitor may ask for beside words: an exact phrase in quotes, and with a minus what they do not want.

"desk lamp"   the words side by side, in any of the usual quotes: “…” „…“ «…» 「…」 『…』
-red -"a b"   without that word or phrase; the minus stands before a word and after a blank

A quote that is never closed, an inch (24") and a minus within a word or alone are plain text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CLOSING = {
    '"': '"', "\uff02": "\uff02", "“": "”", "„": "“”", "”": "”", "«": "»", "»": "«", "「": "」", "『": "』",
}  # fmt: skip
_QUOTED = "|".join(
    f"{re.escape(opening)}(?P<q{number}>[^{re.escape(opening + closing)}]+)[{re.escape(closing)}]"
    for number, (opening, closing) in enumerate(_CLOSING.items())
)
_MINUS = r"\-\u2010\u2011\u2212\uff0d"
_OPERATOR = re.compile(
    rf"(?:(?<!\S)(?P<minus>[{_MINUS}]))?(?<![A-Za-z0-9])(?:{_QUOTED})(?![A-Za-z0-9])"
    rf"|(?<!\S)[{_MINUS}](?P<word>[^\s{_MINUS}\"“”„«»「」『』\uff02]\S*)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Operators:
    """A query taken apart."""

    text: str
    """What is looked for, without quotes and without what is not wanted."""
    phrases: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


def parse(query: str) -> Operators:
    """The parts of a query; one without operators comes back as it is."""
    phrases: list[str] = []
    without: list[str] = []

    def take(found: re.Match[str]) -> str:
        quoted = next((text for name, text in found.groupdict().items() if name[0] == "q" and text), "")
        if found["word"] or found["minus"]:
            without.append(found["word"] or quoted)
            return " "
        phrases.append(quoted)
        return f" {quoted} "

    text = _OPERATOR.sub(take, query)
    if not (phrases or without):
        return Operators(text=query)
    return Operators(text=" ".join(text.split()), phrases=tuple(phrases), without=tuple(without))
