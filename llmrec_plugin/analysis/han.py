"""Text without spaces between words: Chinese with a dictionary, everything else by pairs of characters."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

HAN_RANGES = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
"""For a character class."""
HAN = re.compile(f"[{HAN_RANGES}]")
_CODE_POINTS = ((0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x323B0))
_PIECE = 200
_loading = threading.Lock()


class Segmenter:
    """jieba with the site's own words."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def spans(self, run: str) -> Iterator[tuple[int, int]]:
        """What an index holds of a run of characters: each one, each pair, and each longer word that
        the dictionary has at any place or the segmenter guesses.

        So whatever `words` gives for a part of the run is there, however the run itself is divided.
        """
        yield from spans(run)
        longer = {
            (start, end + 1)
            for start, ends in self._tokenizer.get_DAG(run).items()
            for end in ends
            if end - start > 1
        }
        position = 0
        for word in self.cut(run):
            if len(word) > 2:
                longer.add((position, position + len(word)))
            position += len(word)
        yield from sorted(longer)

    def words(self, run: str) -> Iterator[str]:
        """How a query is divided; a guessed word that no dictionary has is given by its pairs."""
        return (run[start:end] for start, end in self.word_spans(run))

    def word_spans(self, run: str) -> Iterator[tuple[int, int]]:
        """Where the `words` are."""
        position = 0
        for word in self.cut(run):
            if len(word) <= 2 or self._tokenizer.FREQ.get(word):
                yield position, position + len(word)
            else:
                yield from ((place, place + 2) for place in range(position, position + len(word) - 1))
            position += len(word)

    def cut(self, run: str) -> Iterator[str]:
        """The words of a run side by side."""
        # Piece by piece, as jieba's guessing of unknown words takes quadratic time.
        for start in range(0, len(run), _PIECE):
            yield from self._tokenizer.cut(run[start : start + _PIECE])


def spans(run: str) -> Iterator[tuple[int, int]]:
    """What an index holds of a run where there is no dictionary: each character and each pair."""
    for position in range(len(run)):
        yield position, position + 1
    for position in range(len(run) - 1):
        yield position, position + 2


def pairs(run: str) -> Iterator[str]:
    """How a query is divided where there is no dictionary; a single character stays."""
    if len(run) == 1:
        yield run
    for position in range(len(run) - 1):
        yield run[position : position + 2]


def segmenter(words: str) -> Segmenter:
    """One per process and dictionary. `words`: the folded content of the dictionary, or empty."""
    with _loading:
        return _load(words)


@lru_cache(maxsize=2)  # that of the live index, and while it changes that of the next or former one
def _load(words: str) -> Segmenter:
    import jieba

    tokenizer = jieba.Tokenizer()
    # What `initialize` does, without its log lines and its cache file in the shared temporary folder,
    # which anybody on the machine could replace.
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    if words:
        tokenizer.load_userdict(io.BytesIO(words.encode()))
    return Segmenter(tokenizer)


@lru_cache(maxsize=1)
def simplifications() -> Mapping[int, str]:
    """Traditional to simplified for str.translate, one character for one."""
    from opencc import OpenCC

    characters = [chr(code) for bounds in _CODE_POINTS for code in range(*bounds)]
    converted = OpenCC("t2s").convert("\n".join(characters)).split("\n")
    table = {
        ord(old): new for old, new in zip(characters, converted, strict=True) if len(new) == 1 and new != old
    }
    # Some results are themselves converted; going all the way makes folding idempotent.
    return {code: table.get(ord(new), new) for code, new in table.items()}
