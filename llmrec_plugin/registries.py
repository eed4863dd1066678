"""Holds what a site may add to: things declared once, found by their names.

Each registry answers alike: two things of one name, a name that is none and a thing that nobody declared are
a ConfigurationError that names the thing, the nearest known name and the cure.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.suggest import hint

PATTERN = re.compile(r"[a-z][a-z0-9_-]{0,29}")
"""What a name may be: it stands in URLs, in rows and in JSON."""


class Named(Protocol):
    """Anything that bears the name that it is found by."""

    @property
    def name(self) -> str:
        """Return the name, as stored and sent."""


D = TypeVar("D", bound=Named)


class NameRegistry(Generic[D]):
    """Keeps declared things by name, in the order of their declaration."""

    def __init__(self, what: str, *, register: str, unregister: str = "") -> None:
        """Take what one of them is called ("kind of event"), and the names of the functions that add one
        and, where there is one, that take it back."""
        self._what = what
        self._register = register
        self._unregister = unregister
        self._declared: dict[str, D] = {}
        self._modules: dict[str, str] = {}

    def register(self, declared: D) -> D:
        """Add a thing and hand it back; raises ConfigurationError if its name is taken, or is no name."""
        name: object = declared.name
        if not isinstance(name, str) or not PATTERN.fullmatch(name):
            shown = f'"{name}"' if isinstance(name, str) else repr(name)
            raise ConfigurationError(
                f'{shown} cannot name a {self._what}: up to 30 small letters, digits, "-" and "_", the '
                "first a letter."
            )
        if name in self._declared:
            way_back = f", or take that one back first with {self._unregister}" if self._unregister else ""
            raise ConfigurationError(
                f'There is a {self._what} "{name}" already, declared in {self._modules[name]}: give yours '
                f"another name{way_back}. Taken: {', '.join(self.names())}."
            )
        self._declared[name], self._modules[name] = declared, _declaring_module()
        return declared

    def unregister(self, name: str) -> None:
        """Take a thing out again; a name that nothing bears is no error."""
        self._declared.pop(name, None)
        self._modules.pop(name, None)

    def get(self, name: str) -> D:
        """Return the thing of that name; raises ConfigurationError, naming the nearest and the cure."""
        declared = self._declared.get(name)
        if declared is None:
            raise ConfigurationError(
                f'There is no {self._what} "{name}". {hint(name, self.names())} Declare it with '
                f"{self._register} in the search_documents.py of an installed app."
            )
        return declared

    def names(self) -> tuple[str, ...]:
        """Return the known names, in the order of declaration."""
        return tuple(self._declared)

    def __contains__(self, name: object) -> bool:
        return name in self._declared

    def __iter__(self) -> Iterator[D]:
        return iter(tuple(self._declared.values()))


def _declaring_module() -> str:
    """Return the name of the module that declares something just now: the nearest caller that is no function
    of this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        frame.f_code.co_name != "<module>" and _is_ours(frame.f_globals.get("__name__", ""))
    ):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == __name__.partition(".")[0]
