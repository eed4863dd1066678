"""Reads a dict of options into a frozen dataclass: the one reader of settings and of the options in them.

What an option may be is the type of its field, narrowed by `Annotated` where the type says too little:

    shards: Annotated[int, above(0)] = 1
    dtype: Literal["float32", "float16"] = "float32"
    api_key: Annotated[str | None, SECRET, "the encoded key"] = None

A text among the annotations is what messages say that the value must be, in place of what the type says. A
dict for a field that is a dataclass is read in the same way; an empty one is None where None may be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import reduce
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.suggest import hint as did_you_mean
from llmrec_plugin.suggest import nearest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["SECRET", "Positive", "Rule", "Seconds", "above", "at_least", "between", "one_of"]

OptionsT = TypeVar("OptionsT", bound="DataclassInstance")


@dataclass(frozen=True)
class Expected:
    """Tells what may stand in a place, and says it."""

    fits: Callable[[Any], bool]
    words: str
    choices: tuple[str, ...] = ()
    """The texts among which it is chosen."""
    secret: bool = False
    cure: Callable[[str], str] = lambda given: ""
    """What to do where this text is given; empty: nothing better than to name the nearest choice."""


@dataclass(frozen=True)
class Rule:
    """Narrows a type; `words` follow those of the type."""

    fits: Callable[[Any], bool]
    words: str


SECRET = object()
"""Annotates an option whose value no message may show."""


def above(least: float) -> Rule:
    """Return the rule of numbers greater than `least`."""
    return Rule(lambda value: value > least, f"above {least:g}")


def at_least(least: float) -> Rule:
    """Return the rule of `least` and greater numbers."""
    return Rule(lambda value: value >= least, f"of at least {least:g}")


def between(least: float, most: float) -> Rule:
    """Return the rule of numbers from `least` to `most`, both included."""
    return Rule(lambda value: least <= value <= most, f"from {least:g} to {most:g}")


Positive: TypeAlias = Annotated[int, above(0)]
Seconds: TypeAlias = Annotated[float, above(0), "a number of seconds above 0"]


def one_of(known: Iterable[object]) -> Expected:
    """Return what is one of the known values and of its type; for `Annotated` where they are no Literal."""
    known = tuple(known)
    words = ", ".join(f'"{one}"' if isinstance(one, str) else repr(one) for one in known)
    return Expected(
        lambda value: any(value == one and type(value) is type(one) for one in known),
        f"one of {words}",
        tuple(one for one in known if isinstance(one, str)),
    )


@dataclass(frozen=True)
class OneOfNames:
    """Narrows a text to names that are known only once a site has registered its own."""

    names: Callable[[], Iterable[str]]
    cure: Callable[[str], str] = lambda given: ""
    """What to do where this name is given that is none of them; empty: nothing but to name the nearest."""


def keys_of(name: str) -> Callable[[str], str]:
    """Return what messages call the keys of the dict `name`, as in LLMREC["RERANK"]["items"]."""
    return lambda key: f'{name}["{key}"]'


def read_options(
    kind: type[OptionsT], given: Mapping[str, Any], called: Callable[[str], str], *, of: str = ""
) -> OptionsT:
    """Return `given` as a `kind`, lists as tuples where it has tuples.

    `called` makes of an option's name what messages call it; `of` says whose options they are. Raises
    ConfigurationError that says which option is wrong, its value, what it must be, and for an unknown one the
    nearest there is.
    """
    hints = get_type_hints(kind, include_extras=True)
    known = [field.name for field in fields(kind)]
    for name in given:
        if name not in known:
            whose = f" to {of}" if of else ""
            raise ConfigurationError(f"{called(name)} is unknown{whose}. {did_you_mean(name, known)}")
    for field in fields(kind):
        if field.default is MISSING and field.default_factory is MISSING and field.name not in given:
            words = _expected(hints[field.name]).words
            raise ConfigurationError(f"{called(field.name)} is missing; it must be {words}.")
    return kind(**{name: _read(value, hints[name], called(name)) for name, value in given.items()})


def check_options(options: DataclassInstance, called: Callable[[str], str]) -> None:
    """Raise ConfigurationError for the first field of a dataclass whose value is none of those declared."""
    hints = get_type_hints(type(options), include_extras=True)
    for field in fields(options):
        _read(getattr(options, field.name), hints[field.name], called(field.name))


def _read(value: Any, hint: Any, name: str) -> Any:
    kinds = _alternatives(hint)
    nested = next((kind for kind in kinds if is_dataclass(kind)), None)
    if isinstance(value, Mapping) and isinstance(nested, type):
        return None if not value and NoneType in kinds else read_options(nested, value, keys_of(name))
    expected = _expected(hint)
    if not expected.fits(value):
        shown = f"not shown, of type {type(value).__name__}" if expected.secret else repr(value)
        raise ConfigurationError(f"{name} is {shown}; it must be {expected.words}.{_cure(value, expected)}")
    is_listed = isinstance(value, list) and any(get_origin(kind) is tuple for kind in kinds)
    return tuple(value) if is_listed else value


def _cure(value: Any, expected: Expected) -> str:
    """Return what to write instead of a text that is no choice, or of the first such in a list."""
    given = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    wrong = next((one for one in given if isinstance(one, str) and one not in expected.choices), None)
    if wrong is None or not expected.choices:
        return ""
    near = nearest(wrong, expected.choices)
    found = expected.cure(wrong) or (f'Did you mean "{near}"?' if near is not None else "")
    return f" {found}" if found else ""


def _alternatives(hint: Any) -> list[Any]:
    """The types that a union is made of, or the only one, without annotations."""
    if get_origin(hint) is Annotated:
        return _alternatives(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [kind for one in get_args(hint) for kind in _alternatives(one)]
    return [hint]


def _expected(hint: Any) -> Expected:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return reduce(_narrowed, args[1:], _expected(args[0]))
    if origin in (Union, UnionType):
        parts = [_expected(one) for one in args]
        choices = tuple(choice for part in parts for choice in part.choices)
        words = ", or ".join(part.words for part in parts)
        return Expected(lambda value: any(part.fits(value) for part in parts), words, choices)
    if origin is Literal:
        return one_of(args)
    if origin in (tuple, Sequence):
        return _list(args, list | tuple if origin is tuple else Sequence)
    if is_dataclass(hint):
        return Expected(lambda value: type(value) is hint, "a dict")
    return _PLAIN[origin or hint]


def _narrowed(expected: Expected, rule: object) -> Expected:
    if isinstance(rule, str):
        return replace(expected, words=rule)
    if rule is SECRET:
        return replace(expected, secret=True)
    if isinstance(rule, OneOfNames):
        rule = replace(one_of(rule.names()), cure=rule.cure)
    if isinstance(rule, Expected):
        return replace(rule, fits=lambda value: expected.fits(value) and rule.fits(value))
    if isinstance(rule, Rule):
        words = f"{expected.words} {rule.words}"
        return replace(expected, fits=lambda value: expected.fits(value) and rule.fits(value), words=words)
    return expected


def _list(args: tuple[Any, ...], kind: Any) -> Expected:
    parts = [_expected(one) for one in args if one is not Ellipsis]
    size = len(parts) if kind is not Sequence and Ellipsis not in args else None

    def fits(value: Any) -> bool:
        if not isinstance(value, kind) or isinstance(value, str | bytes) or size not in (None, len(value)):
            return False
        return all(part.fits(one) for one, part in zip(value, parts * len(value), strict=False))

    words = f"a list of {parts[0].words.removeprefix('one of ')}"
    return Expected(fits, words, parts[0].choices, cure=parts[0].cure)


def _is_number(value: object) -> bool:
    """Whether it is finite, and neither True nor False."""
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_PLAIN: Mapping[Any, Expected] = {
    Any: Expected(lambda value: True, "anything"),
    NoneType: Expected(lambda value: value is None, "None"),
    bool: Expected(lambda value: isinstance(value, bool), "True or False"),
    int: Expected(_is_whole, "a whole number"),
    float: Expected(_is_number, "a number"),
    str: Expected(lambda value: isinstance(value, str), "a text"),
    Path: Expected(lambda value: isinstance(value, Path), "a path"),
    Mapping: Expected(lambda value: isinstance(value, Mapping), "a dict"),
}
