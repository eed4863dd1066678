"""Knows the types of lists that placements can be of: what each is called, needs and begins with.

Each is registered by the strategy that makes such lists (`services.recommendations.register_strategy`).
What is known of it stands here, below the strategies, since placements, experiments and the admin ask for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from llmrec_plugin.event_kinds import taking_kinds
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.registries import NameRegistry

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


class ListType:
    """A type of list, which says what its placements have in common; one instance of each is registered."""

    name: ClassVar[str]
    """As placements name it; a placement of this name is there without a setting."""
    label: ClassVar[_StrPromise | str]
    """In the admin, in the middle of a sentence: "for you"."""
    help_text: ClassVar[_StrPromise | str] = ""
    """In the admin: one sentence on what such a list shows."""
    needs_item: ClassVar[bool] = False
    """It is about an item, which the page names."""
    is_personal: ClassVar[bool] = False
    """It is made from what the user did, so their history is read."""
    needs_progression: ClassVar[bool] = False
    """It shows only what the user may take next, so the document declares its progression."""
    can_fill: ClassVar[bool] = False
    """Placements may name it as a fallback, to fill up lists that are too short."""
    hides_taken: ClassVar[bool] = False
    """It leaves out what the user has, such as bought, unless the placement says what is left out."""
    hide: ClassVar[tuple[str, ...]] = ()
    """More kinds of events whose items the user does not see, unless the placement says so."""
    fallback: ClassVar[tuple[str, ...]] = ("popular",)
    """Types that fill up a list that is too short, unless the placement says so."""

    def hidden_kinds(self) -> tuple[str, ...]:
        """Return the kinds of events whose items the user does not see, unless the placement says so."""
        return (*(taking_kinds() if self.hides_taken else ()), *self.hide)


list_types: NameRegistry[ListType] = NameRegistry(
    "list strategy", register="@register_strategy", unregister="unregister_strategy"
)


def find_type(name: object, *, where: str) -> ListType:
    """Return the type of that name; raises ConfigurationError, which begins with `where` it is asked for."""
    try:
        return list_types.get(str(name))
    except ConfigurationError as error:
        raise ConfigurationError(f"{where} is {name!r}. {error}") from error


def fillers() -> list[str]:
    """Return the names of the types that may fill up lists of others."""
    return [one.name for one in list_types if one.can_fill]


def cannot_fill(name: object) -> str:
    """Return why a list that there is fills up no others, and the cure; empty for any other name."""
    if name not in list_types or list_types.get(str(name)).can_fill:
        return ""
    return (
        f'Lists of the type "{name}" fill up no others: name one of {", ".join(fillers())}, or set '
        "can_fill = True on a strategy of your own."
    )
