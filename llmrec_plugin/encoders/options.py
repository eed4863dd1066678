"""Reads EncoderSpec.options into an encoder's own dataclass, so that a typo is an error and not a default."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.suggest import hint

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    T = TypeVar("T", bound=DataclassInstance)
else:
    T = TypeVar("T")


def read_options(spec: EncoderSpec, kind: type[T]) -> T:
    """`spec.options` as `kind`; raises ConfigurationError for unknown names and values of another type."""
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]
    for name, value in spec.options.items():
        if name not in known:
            raise ConfigurationError(f'The encoder "{spec.name}" has no option "{name}". {hint(name, known)}')
        if not _fits(value, hints[name]):
            raise ConfigurationError(
                f'The option "{name}" of the encoder "{spec.name}" is {value!r}; '
                f"expected {_words(hints[name])}."
            )
    try:
        return kind(**spec.options)
    except ValueError as error:
        raise ConfigurationError(f'Options of the encoder "{spec.name}": {error}') from error


def _fits(value: object, hint: Any) -> bool:
    kinds = get_args(hint) or (hint,)
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, kinds) or (isinstance(value, int) and float in kinds)


def _words(hint: Any) -> str:
    return " or ".join("None" if kind is type(None) else kind.__name__ for kind in get_args(hint) or (hint,))
