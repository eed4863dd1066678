"""A sentence of a site's own that cannot be filled is refused where it is declared, and never ends a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from django.utils import translation
from django.utils.functional import lazy
from django.utils.translation import gettext_lazy, ngettext_lazy

from llmrec_plugin import checks
from llmrec_plugin.contributions import Contribution, contributions, register_contribution
from llmrec_plugin.event_kinds import EventKind, event_kinds, register_event_kind
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.ranking.explanation import Reason
from llmrec_plugin.services import recommendations
from llmrec_plugin.services.serving.reasons import ReasonContext, sentences
from llmrec_plugin.types import ContributionCode
from tests.hostapp.models import Product
from tests.support.serving import did, open_shop

GENERAL = "Matches your interests"


def in_languages(english: str, **translations: str) -> Any:
    """A lazy text with these translations, as `gettext_lazy` of a site's own catalogue."""
    return lazy(lambda: translations.get(str(translation.get_language()), english), str)()


@contextmanager
def declared(**attributes: Any) -> Iterator[EventKind]:
    yield register_event_kind(EventKind(name="wave", label="waved", weight=1.0, **attributes))
    event_kinds.unregister("wave")


@contextmanager
def contributing(**attributes: Any) -> Iterator[Contribution]:
    yield register_contribution(Contribution(name="season", label="season", **attributes))
    contributions.unregister("season")


def told(code: str, titles: Mapping[str, str] | None = None, **context: Any) -> tuple[str, ...]:
    reason = Reason(code=ContributionCode.parse(code), share=1.0)
    ((*found,),) = sentences([[reason]], ReasonContext(**context), titles or {})
    return tuple(found)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"because": "Because of %(titl)s"}, 'has a place for "titl". Did you mean "title"? Known: title.'),
        ({"others": "Others took %(name)s"}, 'has a place for "name". Known: title.'),
        ({"because": "100 % like %(title)s"}, "write %(title)s, and %% for a percent sign"),
        ({"because": "As you took %(title)"}, "write %(title)s, and %% for a percent sign"),
        ({"because": "As you took {title}"}, "has {title}: write %(title)s"),
        ({"because": "%(title)d"}, "write %(title)s"),
        ({"weekly": "Waved %(cout)d times"}, 'has a place for "cout". Did you mean "count"?'),
        ({"weekly": "Waved at %(title)s"}, 'has a place for "title". Known: count.'),
        ({"because": 7}, "is 7; it must be a text"),
        ({"label": None}, "is None; it must be a text"),
        ({"label": " "}, "is empty: say in a word or two"),
        ({"sign": "agianst"}, 'it must be one of "for", "against", "by_value". Did you mean "against"?'),
        ({"weight": "2"}, "is '2'; it must be a number"),
        ({"from_browsers": "no"}, "is 'no'; it must be True or False"),
    ],
)
def test_a_kind_of_event_with_a_wrong_attribute_is_refused(attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        EventKind(**{"name": "wave", "label": "waved", "weight": 1.0, **attributes})
    assert said in str(raised.value)
    assert f'{next(iter(attributes))} of the kind of event "wave"' in str(raised.value)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        (
            {"sentence": "On with %(titel)s", "source": "item"},
            'has a place for "titel". Did you mean "title"?',
        ),
        ({"sentence": "On with %(title)s"}, 'has a place for "title". Known: none.'),
        ({"sentence": "On with %(title)s", "source": "rule"}, 'has a place for "title". Known: none.'),
        ({"untitled_sentence": "On with %(title)s", "source": "item"}, 'has a place for "title"'),
        ({"source": "itm"}, 'it must be one of "", "item", "rule". Did you mean "item"?'),
        ({"label": ""}, "is empty: say in a word or two"),
        ({"is_personal": "yes"}, "it must be True or False"),
    ],
)
def test_a_contribution_with_a_wrong_attribute_is_refused(attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Contribution(**{"name": "season", "label": "season", **attributes})
    assert said in str(raised.value)
    assert f'{next(iter(attributes))} of the contribution "season"' in str(raised.value)


def test_a_sentence_without_a_place_may_have_percent_signs() -> None:
    with contributing(sentence="Up to 50 % off"), declared(because="100 % yours"):
        assert told("season") == ("Up to 50 % off",)
        assert told("taste:7", {"7": "hose"}, sources={"7": "wave"}) == ("100 % yours",)
    with declared(because="100 %% like %(title)s"):
        assert told("taste:7", {"7": "hose"}, sources={"7": "wave"}) == ("100 % like hose",)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"because": gettext_lazy("Because of %(titl)s")}, 'has a place for "titl"'),
        ({"others": in_languages("%(title)s", **{"zh-hans": "%(titel)s"})}, 'into "zh-hans" has a place'),
        ({"weekly": ngettext_lazy("%(count)d wave", "%(cuont)d waves", "count")}, 'place for "cuont"'),
        ({"weekly": ngettext_lazy("%(count)d wave", "%(count)d waves", "number")}, 'place for "number"'),
        ({"counted_as": "veiw"}, 'is "veiw", which is none'),
        ({"counted_as": "dismiss"}, "not told by the week"),
    ],
)
def test_check_tells_of_what_is_only_known_once_all_is_loaded(broken: dict[str, Any], said: str) -> None:
    assert checks.check_sentences() == []
    with declared(**broken):
        (message, *_) = checks.check_sentences()
    assert message.id == "llmrec_plugin.E009"
    assert said in message.msg
    assert f'{next(iter(broken))} of the kind of event "wave"' in message.msg
    assert message.hint


def test_check_tells_of_a_translation_of_a_contribution() -> None:
    with contributing(sentence=in_languages("Since %(title)s", **{"zh-hans": "%(titel)s"}), source="item"):
        (message,) = checks.check_sentences()
    assert 'sentence of the contribution "season": its translation into "zh-hans"' in message.msg
    assert "compilemessages" in str(message.hint)


def test_a_broken_translation_gives_way_to_the_sentence_as_declared() -> None:
    text = in_languages("Because you waved at %(title)s", **{"zh-hans": "%(titel)s"})
    with declared(because=text), contributing(sentence=text, source="item"), translation.override("zh-hans"):
        titles = {"7": "hose"}
        assert told("taste:7", titles, sources={"7": "wave"}) == ("Because you waved at hose",)
        assert told("season:7", titles) == ("Because you waved at hose",)


def test_a_sentence_that_is_broken_as_declared_gives_way_to_the_general_one() -> None:
    broken = gettext_lazy("%(titl)s")
    weekly = ngettext_lazy("%(cuont)d wave", "%(cuont)d waves", "count")
    titles = {"7": "hose"}
    with declared(because=broken, others=broken, weekly=weekly), contributing(sentence=broken, source="item"):
        assert told("taste:7", titles, sources={"7": "wave"}) == (GENERAL,)
        assert told("neighbours:7", titles, neighbours_kind="wave") == (
            "People who chose “hose” also chose this",
        )
        assert told("trending:7", weekly_counts={"7": ("wave", 9)}) == ("Popular this week",)
        assert told("season:7", titles) == ()
    assert told("trending:7", weekly_counts={"7": ("gone", 9)}) == ("Popular this week",)


def test_an_item_that_the_user_did_not_want_is_never_what_a_taste_is_laid_to() -> None:
    assert told("taste:7", {"7": "hose"}, has_declared_taste=True) == (GENERAL,)


@pytest.mark.django_db
def test_the_list_of_a_user_with_such_an_event_is_served() -> None:
    shop: dict[str, Product] = open_shop()
    with declared(because=gettext_lazy("Because of %(titl)s")):
        did("7", "wave", [shop["steel garden hose"]])
        page = recommendations.recommend("for-you", document="product", user_key="7")
        about = recommendations.recommend("because-you-viewed", document="product", user_key="7")
    assert GENERAL in page.results[0].reasons
    assert about.results
