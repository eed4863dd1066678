"""Titles, queries, user keys and names that are markup are texts wherever they are shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.urls import reverse

from llmrec_plugin.models import IndexVersion, Interaction, Rule, Synonym
from llmrec_plugin.services import privacy
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.search import search
from llmrec_plugin.services.training import model_fit
from llmrec_plugin.types import SearchRequest
from tests.hostapp.models import Product
from tests.support.serving import did, stock

pytestmark = pytest.mark.django_db

EVIL = '"><img src=x onerror=alert(1)> mug'
"""What a title says whose field holds it with its markup as entities; so does a visitor's query or key."""
STORED = EVIL.replace("<", "&lt;").replace(">", "&gt;")
MARKUP = re.compile(r"<\s*img\s+src=.?x\b", re.IGNORECASE)


def admin(name: str) -> str:
    return reverse(f"admin:llmrec_plugin_{name}")


@pytest.fixture
def mug() -> Product:
    """An item among others whose title is markup; visitors with such keys looked for it and bought it."""
    others = list(stock().values())
    mug = Product.objects.create(title=STORED, description=f"A mug. {STORED}", brand=others[0].brand)
    build("product")
    IndexVersion.objects.update(floor=None)
    for number in range(12):
        privacy.set_consent(f"{EVIL}{number}", granted=True)
        search(SearchRequest(document="product", text=EVIL, user_key=f"{EVIL}{number}"))
        did(f"{EVIL}{number}", "purchase", [mug, others[0], others[number + 1]])
    model_fit.fit("product")
    cache.clear()
    return mug


def test_the_pages_of_the_admin_show_them_as_texts(editor: Client, mug: Product) -> None:
    Rule.objects.create(name=EVIL, document="product", action="pin", items=[str(mug.pk)], phrases=[EVIL])
    Rule.objects.create(name="other", document="product", action="hide", items=[str(mug.pk)])
    Synonym.objects.create(words=f"{EVIL}\ncup")
    explorer = {"document": "product", "user": f"{EVIL}1", "against": "stranger"}
    event = Interaction.objects.latest("pk")
    pages = [
        (admin("exploration_changelist"), {**explorer, "list": "search", "q": EVIL}),
        (admin("exploration_words"), {"document": "product", "q": EVIL, "item": str(mug.pk)}),
        (admin("exploration_changelist"), {**explorer, "list": "for-you"}),
        (admin("judgment_judge"), {"document": "product", "q": EVIL}),
        (admin("dashboard_changelist"), {"document": "product", "days": "28"}),
        (admin("interaction_profile"), {"user": f"{EVIL}1"}),
        (admin("interaction_changelist"), {"q": EVIL}),
        (reverse("admin:llmrec_plugin_interaction_change", args=[event.pk]), {}),
        (admin("impression_changelist"), {"q": EVIL}),
        (admin("rule_changelist"), {}),
        (admin("synonym_changelist"), {}),
        (admin("modelversion_changelist"), {}),
        (admin("modelversion_pictures"), {}),
    ]
    told = []
    for address, asked in pages:
        page = editor.get(address, asked)
        assert page.status_code == 200, address
        assert not MARKUP.search(page.text), address
        told.append("onerror=alert(1)" in page.text)
    assert sum(told) >= 8  # it was there to be shown


def test_lists_and_answers_show_them_as_texts(client: Client, mug: Product) -> None:
    asked = {"document": "product", "q": "mug"}
    (found,) = [
        item for item in client.get("/api/search/", asked).json()["results"] if item["item_id"] == str(mug.pk)
    ]
    assert found["title"] == EVIL
    assert not any(MARKUP.search(html) for html in found["highlights"].values())
    assert "<mark>mug</mark>" in found["highlights"]["title"]
    page = Template('{% load llmrec %}{% recommend "latest" "product" title=evil %}{% similar mug %}')
    request = RequestFactory().get("/")
    drawn = page.render(Context({"request": request, "mug": mug, "evil": EVIL}))
    assert "onerror=alert(1)" in drawn
    assert not MARKUP.search(drawn)


def test_pictures_show_them_as_texts(mug: Product, tmp_path: Path) -> None:
    call_command("llmrec", "plots", "--document", "product", "--output", str(tmp_path))
    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.svg")}
    assert "onerror=alert(1)" in written["map-product.svg"]
    assert not any(MARKUP.search(svg) for svg in written.values())
