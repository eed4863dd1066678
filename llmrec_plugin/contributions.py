"""Declares every addend that a score may have, in one place: its code, and what people read of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.utils.translation import gettext_lazy as _

from llmrec_plugin.options import check_options
from llmrec_plugin.registries import NameRegistry
from llmrec_plugin.wording import NOTHING, TITLE, Text, check_label, check_sentence


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """A frozen declaration of one kind of addend of a score.

    A list whose scores have a part that nobody declared is an error. A site adds its own:

        register_contribution(
            Contribution(name="campaign", label=_("part of a campaign"), sentence=_("On offer this week"))
        )
    """

    name: str
    """Its code, before the colon."""
    label: Text
    """What editors call it, where they see what a score is made of."""
    sentence: Text = ""
    """What visitors read where it is why an item is shown; may speak of the source as %(title)s. Empty: it
    is never told as a reason."""
    untitled_sentence: Text = ""
    """Instead of a `sentence` with a title, where the source is gone or there is none; empty: nothing."""
    is_personal: bool = False
    """It goes back to what the user did, or says about themselves."""
    source: Literal["", "item", "rule"] = ""
    """What the code names after the colon: the key of an item, or the number of a rule; empty: nothing that
    has a title."""

    def __post_init__(self) -> None:
        check_options(self, self.called)
        check_label(self.label, called=self.called("label"))
        check_sentence(self.sentence, self.sentence_values, called=self.called("sentence"))
        check_sentence(self.untitled_sentence, NOTHING, called=self.called("untitled_sentence"))

    def called(self, attribute: str) -> str:
        """Return what messages call an attribute of this contribution."""
        return f'{attribute} of the contribution "{self.name}"'

    @property
    def sentence_values(self) -> Mapping[str, Any]:
        """Return an example of what the sentence may have places for: a title where there is an item."""
        return TITLE if self.source == "item" else NOTHING

    @property
    def may_be_reason(self) -> bool:
        """Return whether visitors are ever told of it."""
        return not isinstance(self.sentence, str) or self.sentence != ""  # translates nothing


contributions: NameRegistry[Contribution] = NameRegistry("contribution", register="register_contribution")


def register_contribution(contribution: Contribution) -> Contribution:
    """Add a contribution and hand it back; raises ConfigurationError where its name is taken or is none."""
    return contributions.register(contribution)


def personal_names() -> frozenset[str]:
    """Return the codes that go back to what a user did, or says about themselves."""
    return frozenset(one.name for one in contributions if one.is_personal)


def reason_names() -> frozenset[str]:
    """Return the codes that visitors may be told of."""
    return frozenset(one.name for one in contributions if one.may_be_reason)


_INTERESTS = _("Matches your interests")

for built_in in (
    Contribution(name="text", label=_("words of the query"), sentence=_("Matches your words")),
    Contribution(name="vector", label=_("meaning"), sentence=_("Close in meaning to your search")),
    Contribution(
        name="rerank", label=_("query and item read together"), sentence=_("A good answer to your search")
    ),
    Contribution(
        name="taste", label=_("taste of the user"), sentence=_INTERESTS, is_personal=True, source="item"
    ),
    Contribution(
        name="neighbours",
        label=_("taken together by others"),
        sentence=_("People who chose “%(title)s” also chose this"),
        is_personal=True,
        source="item",
    ),
    Contribution(
        name="text_neighbours",
        label=_("alike, though nobody took both"),
        sentence=_("Similar to “%(title)s”"),
        untitled_sentence=_INTERESTS,
        is_personal=True,
        source="item",
    ),
    Contribution(
        name="next",
        label=_("next step"),
        sentence=_("Follows on from “%(title)s”"),
        is_personal=True,
        source="item",
    ),
    Contribution(name="popularity", label=_("popularity"), sentence=_("Popular with everybody")),
    Contribution(name="average", label=_("average popularity of a new item")),
    Contribution(name="trending", label=_("popular this week"), sentence=_("Popular this week")),
    Contribution(name="earlier", label=_("popular in the weeks before"), sentence=_("Popular lately")),
    Contribution(name="freshness", label=_("newness"), sentence=_("New here")),
    Contribution(name="reserve", label=_("a place kept for new items"), sentence=_("New here")),
    Contribution(name="diversity", label=_("too much like the items above")),
    Contribution(name="backfill", label=_("only fills the list up")),
    Contribution(name="rule", label=_("rule"), sentence=_("Our pick"), source="rule"),
):
    register_contribution(built_in)
