"""The examples of docs/cookbook.md, run in the test site."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.utils.module_loading import import_string
from rest_framework import serializers
from rest_framework.test import APIRequestFactory

from llmrec_plugin import pytest_plugin
from llmrec_plugin.contributions import contributions
from llmrec_plugin.documents import registry
from llmrec_plugin.documents.signals import signals
from llmrec_plugin.event_kinds import event_kinds
from llmrec_plugin.models import Configuration
from llmrec_plugin.services import indexing, interactions, recommendations
from llmrec_plugin.shortcuts import search
from tests.hostapp.models import OrderLine, Product

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.django_db


def blocks(language: str, page: str = "cookbook.md") -> list[str]:
    page = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.fixture
def mug() -> Product:
    products = [Product.objects.create(title=title) for title in ("Red mug", "Blue mug", "Garden chair")]
    indexing.build("product")
    return products[0]


def test_the_template_examples_are_drawn(mug: Product) -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    values = {"request": request, "product": mug, "results": search(Product, "red mug")}
    drawn = [Template("{% load llmrec %}" + text).render(Context(dict(values))) for text in blocks("django")]
    assert "For you" in drawn[0]
    assert "Garden chair" in drawn[0]
    assert f'data-view-item="{mug.pk}"' in drawn[1]
    assert f'data-llmrec-item="{mug.pk}" data-llmrec-position="0"' in drawn[2]


def test_the_views_answer(mug: Product, capsys: Any) -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()

    class ProductSerializer(serializers.ModelSerializer[Product]):
        class Meta:
            model = Product
            fields = ["id", "title"]

    names: dict[str, Any] = {
        "Product": Product,
        "OrderLine": OrderLine,
        "ProductSerializer": ProductSerializer,
        "request": request,
        "product": mug,
        "MIDDLEWARE": [],
    }
    try:
        for text in blocks("python"):
            if "def test_" not in text:
                exec(text, names)
        bargains = recommendations.recommend("bargains", document="product")
        assert interactions.record(user_key="7", document="product", item_id=mug.pk, kind="save")
    finally:
        recommendations.unregister_strategy(names["Bargains"])
        event_kinds.unregister("save")
        registry.unregister(names["OrderLineSource"])
    assert bargains.results[0].reasons == ("A bargain",)
    (middleware,) = names["MIDDLEWARE"]
    assert callable(import_string(middleware)(lambda request: HttpResponse()))
    assert capsys.readouterr().out.startswith("Red mug")
    assert names["results"][0] == mug
    asked = RequestFactory().get("/", {"q": "red mug"})
    asked.user = AnonymousUser()
    answered = json.loads(async_to_sync(names["search_page"])(asked).content)
    assert answered["found"][0] == "Red mug"
    assert len(answered["liked"]) == answered["total"] == 3
    listed = names["ProductList"].as_view(template_name="x.html")(RequestFactory().get("/", {"q": "red mug"}))
    assert listed.context_data["object_list"][0] == mug
    answer = names["ProductViewSet"].as_view({"get": "list"})(
        APIRequestFactory().get("/", {"search": "red mug"})
    )
    assert answer.data[0]["title"] == "Red mug"


def test_the_lists_over_rest_answer(mug: Product, client: Client) -> None:
    (block,) = blocks("http")
    for line in block.replace("42", str(mug.pk)).splitlines():
        method, path = line.split()
        assert (method, client.get(path).status_code) == ("GET", 200), line


def test_the_signal_of_the_search_page_counts_once_it_is_weighed() -> None:
    (declaration,) = [text for text in blocks("python", "search.md") if "@register_signal" in text]
    (weighing,) = [text for text in blocks("python", "search.md") if "configure(" in text]
    names: dict[str, Any] = {}
    try:
        exec(declaration.replace('"margin"', '"profit"'), names)
        exec(weighing.replace('"margin"', '"profit"'), names)
        assert Configuration.current().signal_weights == {"profit": 0.3}
        assert signals.get("profit").weight(Configuration.current()) == 0.3
    finally:
        signals.unregister("profit")
        contributions.unregister("profit")


HEAVY = """
from llmrec_plugin.documents import AttachedIndex, SearchDocument, register
from tests.hostapp.models import Brand, Product


@register
class HeavyDocument(SearchDocument):
    model = Brand
    label = "heavy"
    text_fields = ["name"]
    encoder = "nobody/has-this-model"
    attached = AttachedIndex("products")


def test_a_document_does_without_the_encoder_and_the_index_that_it_names(llmrec):
    acme = Brand.objects.create(name="Acme")
    llmrec.build("heavy")
    assert llmrec.found("heavy", "acme") == [acme]
    llmrec.record("7", acme, "click", document="heavy")
    assert llmrec.recommended("trending", "heavy") == [acme]
"""


@pytest.mark.crash
def test_the_fixtures_work_in_a_site_that_has_only_installed_the_package(tmp_path: Path) -> None:
    tests = "\n\n".join(text for text in blocks("python") if "def test_" in text)
    (tmp_path / "test_site.py").write_text(f"{HEAVY}\n\n{tests}")
    # By name: whether the package is installed here, and so found by itself, must not matter.
    plugins = ["-p", "pytest_django.plugin", "-p", "llmrec_plugin.pytest_plugin"]
    options = ["-q", *plugins, "--ds", "tests.settings", "--rootdir", str(tmp_path)]
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "/dev/null", *options, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed" in finished.stdout, finished.stdout + finished.stderr


def test_pytest_finds_the_plugin_by_itself_where_the_package_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"llmrec": pytest_plugin.__name__}
