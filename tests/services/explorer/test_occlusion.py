"""Which words carry a meaning: what is said of one is what the encoder says without it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from llmrec_plugin.exceptions import InvalidRequest, NotBuilt, NotFound
from llmrec_plugin.services import indexing
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.explorer import word_attribution
from llmrec_plugin.services.explorer.word_attribution import MAX_ITEM_WORDS, Attribution, TokenAttribution
from llmrec_plugin.services.inference.encoders import encoder_of
from tests.hostapp.models import Course, Product
from tests.support.serving import open_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def hose() -> Product:
    return open_shop()["steel garden hose"]


def explained(text: str, item: Product | Course) -> Attribution:
    label = "course" if isinstance(item, Course) else "product"
    return word_attribution.explain_words(label, text, str(item.pk))


def by_word(pieces: tuple[TokenAttribution, ...]) -> dict[str, float]:
    return {piece.text: piece.value for piece in pieces if piece.value is not None}


def test_what_a_word_is_worth_is_what_the_cosine_loses_without_it(hose: Product) -> None:
    found = explained("wet garden hose", hose)
    encoder = encoder_of(live_pair("product").index_version)
    passage = "".join(piece.text for piece in found.item)
    assert passage.startswith("steel garden hose\nA garden hose for garden lovers")
    query = encoder.encode_query(["wet garden hose", "garden hose"])
    item = encoder.encode_document([passage, passage.removeprefix("steel")])
    assert found.cosine == pytest.approx(float(query[0] @ item[0]), abs=1e-6)
    assert by_word(found.query)["wet"] == pytest.approx(found.cosine - float(query[1] @ item[0]), abs=1e-6)
    assert found.item[0].value == pytest.approx(found.cosine - float(query[0] @ item[1]), abs=1e-6)


def test_words_that_both_have_bring_them_together_and_others_apart(hose: Product) -> None:
    words = by_word(explained("wet garden hose", hose).query)
    assert min(words["garden"], words["hose"]) > 0 > words["wet"]
    strongest = word_attribution.strongest(explained("wet garden hose", hose).query, 2)
    assert [piece.value for piece in strongest] == sorted(words.values(), key=abs, reverse=True)[:2]


def test_chinese_is_tried_word_by_word(db: None) -> None:
    course = Course.objects.create(title="机器学习入门", body="从零开始", language="zh")
    indexing.build("course")
    words = by_word(explained("学习机器", course).item)
    assert {"机器", "学习", "入门"} <= words.keys()
    assert words["机器"] > words["入门"]


def test_of_a_long_text_only_the_first_words_are_tried(hose: Product) -> None:
    hose.description = " ".join(f"word{number}" for number in range(500))
    hose.save()
    found = explained(" ".join(f"q{number}" for number in range(99)), hose)
    assert len(by_word(found.item)) == MAX_ITEM_WORDS
    assert len(by_word(found.query)) == word_attribution.MAX_QUERY_WORDS
    assert found.item[-1].text.endswith("word499\nAcme")


def test_what_cannot_be_explained_is_said(hose: Product) -> None:
    with pytest.raises(InvalidRequest, match="Type a query"):
        explained(" … ", hose)
    with pytest.raises(NotFound, match="no item"):
        word_attribution.explain_words("product", "hose", "no such")
    with pytest.raises(NotFound, match="teapot"):
        word_attribution.explain_words("teapot", "hose", "1")
    course = Course.objects.create(title="Pottery")
    with pytest.raises(NotBuilt):
        explained("clay", course)


def test_the_command_prints_both_texts(hose: Product, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("llmrec", "explain", "garden hose", str(hose.pk), "--document", "product")
    printed = capsys.readouterr().out
    assert "steel garden hose: cosine 0." in printed
    assert "word of the query" in printed
    assert "word of the item" in printed
    call_command("llmrec", "explain", "garden hose", str(hose.pk), "--document", "product", "--json")
    assert '"query": [{"text": "garden", "value": 0.' in capsys.readouterr().out


def test_the_explorer_leads_staff_to_it(hose: Product, client: Client) -> None:
    address = reverse("admin:llmrec_plugin_exploration_words")
    asked = {"document": "product", "q": "garden hose", "item": str(hose.pk)}
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get(address, asked).status_code == 403
    client.force_login(User.objects.create_superuser("editor"))
    page = client.get(address, asked).content.decode()
    assert "<strong>hose</strong><sup>+0." in page
    assert "Type a query" in client.get(address, {**asked, "q": ""}).content.decode()
    explorer = reverse("admin:llmrec_plugin_exploration_changelist")
    look = client.get(explorer, {"document": "product", "list": "search", "q": "garden hose"})
    assert f"{address}?document=product&amp;q=garden+hose&amp;item={hose.pk}" in look.content.decode()
    other = client.get(explorer, {"document": "product", "list": "latest", "q": "garden hose"})
    assert address not in other.content.decode()
