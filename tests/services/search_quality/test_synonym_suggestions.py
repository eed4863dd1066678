"""Synonyms suggested from the site's own log: what many visitors show, English and Chinese, no more."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from llmrec_plugin.celery_tasks import suggest_synonyms
from llmrec_plugin.exceptions import NotFound
from llmrec_plugin.models import Consent, Impression, IndexVersion, Interaction, Synonym, SynonymSuggestion
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.search_quality import synonym_mining
from tests.hostapp.models import Course, Product
from tests.support.serving import THEMES, open_shop

pytestmark = pytest.mark.django_db

THINGS = [thing for things in THEMES.values() for thing in things]


def searched(
    visitor: str,
    query: str,
    *taken: str,
    minute: int = 0,
    document: str = "product",
    since: datetime | None = None,
) -> None:
    at = (since or timezone.now() - timedelta(hours=2)) + timedelta(minutes=minute)
    row = Impression.objects.create(
        user_key=visitor, document=document, placement="search", query=query, shown=10, total=10
    )
    Impression.objects.filter(pk=row.pk).update(at=at)
    Interaction.objects.bulk_create(
        Interaction(user_key=visitor, document=document, item_id=key, kind="click", at=at, request_id=row.pk)
        for key in taken
    )


def browsed(visitors: int = 80, *, document: str = "product", texts: list[str] = THINGS) -> None:
    """Everybody searches for three things and takes what lies about, or nothing."""
    rng = random.Random(4)
    for visitor in range(visitors):
        for number in range(3):
            taken = [f"any-{rng.randrange(30)}"] if rng.random() < 0.5 else []
            searched(f"browser-{visitor}", rng.choice(texts), *taken, minute=number, document=document)


def reworded(first: str, second: str, visitors: int, *, document: str = "product") -> None:
    for number in range(visitors):
        who = f"{first}-{number}"
        searched(who, first, document=document)
        searched(who, second, f"{second} {number % 3}", minute=2, document=document)


def offered(document: str = "product") -> list[SynonymSuggestion]:
    synonym_mining.suggest_all()
    return list(SynonymSuggestion.objects.filter(document=document, state="open"))


def test_what_visitors_search_for_next_is_suggested_with_what_it_would_change() -> None:
    open_shop()
    browsed()
    reworded("Luminaire", "lamp", 12)
    (only,) = offered()
    assert str(only) == "luminaire → lamp"
    assert only.visitors == 12
    assert only.evidence["reasons"] == ["reworded"]
    assert only.evidence["examples"] == [["luminaire", "lamp", 12]]
    (preview,) = only.evidence["preview"]
    assert preview["query"] == "luminaire"
    assert preview["after"] >= preview["before"]


def test_a_pair_in_chinese_is_found_and_is_written_in_chinese() -> None:
    Course.objects.create(title="电脑入门")
    build("course")
    IndexVersion.objects.update(floor=None)
    browsed(document="course", texts=["数学", "英语", "历史", "绘画", "音乐", "摄影"])
    reworded("计算机入门", "电脑入门", 8, document="course")
    reworded("计算机考试", "电脑考试", 7, document="course")
    (only,) = offered("course")
    assert str(only) == "计算机 → 电脑"
    assert only.visitors == 15
    assert only.evidence["preview"] == [{"query": "计算机", "before": 1, "after": 1, "new": 0}]


def test_searches_that_lead_to_the_same_items_are_suggested_both_ways() -> None:
    browsed()
    for query in ("beamer", "projector"):
        for number in range(12):
            searched(f"{query}-{number}", query, f"screen-{number % 3}")
    (only,) = offered()
    assert str(only) == "beamer, projector"
    assert only.kind == Synonym.Kind.TWO_WAY
    assert only.evidence["preview"] == []  # nothing is built


def test_chance_and_few_visitors_suggest_nothing() -> None:
    browsed()
    reworded("luminaire", "lamp", 4)
    assert offered() == []
    with override_settings(LLMREC={**settings.LLMREC, "SUGGEST_MIN_VISITORS": 4}):
        assert [str(row) for row in offered()] == ["luminaire → lamp"]
    assert offered() == []


def test_searches_of_those_who_refused_do_not_count() -> None:
    browsed()
    reworded("luminaire", "lamp", 6)
    Consent.objects.bulk_create(Consent(user_key=f"luminaire-{n}", granted=False) for n in range(2))
    assert offered() == []


def test_forms_spellings_numbers_and_quotes_are_no_synonyms() -> None:
    browsed()
    for first, second in (
        ("lamps", "lamp"),
        ("lanterm", "lantern"),
        ("tv 55", "tv 65"),
        ("wi fi", "wifi"),
        ('"luminaire"', "lamp"),
        ("luminaire -red", "lamp"),
        ("wardrobe " * 20, "closet"),
    ):
        reworded(first, second, 12)
    assert offered() == []


def test_what_is_known_already_or_was_decided_is_not_suggested_again() -> None:
    browsed()
    reworded("luminaire", "lamp", 12)
    reworded("platter", "tray", 12)
    reworded("sofa", "couch", 12)
    Synonym.objects.create(words="Couch\nsofa", enabled=False)
    first, second = offered()
    synonym_mining.accept(first.pk, by="ada")
    synonym_mining.dismiss(second.pk, by="ada")
    assert offered() == []
    row = Synonym.objects.get(kind="one-way")
    assert str(row) == str(first)
    assert (row.document, row.enabled) == ("product", True)
    assert set(SynonymSuggestion.objects.values_list("state", "by")) == {
        ("accepted", "ada"),
        ("dismissed", "ada"),
    }
    with pytest.raises(NotFound, match="decided on"):
        synonym_mining.accept(second.pk, by="ben")
    Synonym.objects.filter(kind="one-way").delete()
    assert offered() == []


def test_the_schedule_and_a_command_look_for_them() -> None:
    browsed()
    reworded("luminaire", "lamp", 12)
    assert suggest_synonyms.apply().get() == {"course": 0, "product": 1}
    out = StringIO()
    call_command("llmrec", "suggest-synonyms", stdout=out)
    assert "luminaire → lamp: 12 visitors" in out.getvalue()


def test_an_accepted_suggestion_counts_from_the_next_search_on() -> None:
    from tests.services.curation.test_synonyms import LAMPS, by_words

    shop: dict[str, Product] = open_shop()
    assert shop
    browsed()
    reworded("luminaire", "lamp", 12)
    assert by_words("luminaire") == set()
    (only,) = offered()
    synonym_mining.accept(only.pk, by="ada")
    assert by_words("luminaire") == LAMPS
