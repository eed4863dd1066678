"""`manage.py llmrec …` as an operator types it."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from llmrec_plugin.models import Deployment, Interaction, OutboxEntry, Synonym
from llmrec_plugin.services import interactions
from llmrec_plugin.services.search import search
from llmrec_plugin.types import SearchRequest
from tests.hostapp.models import Brand, Product

pytestmark = pytest.mark.django_db


def llmrec(*arguments: str) -> str:
    out = StringIO()
    call_command("llmrec", *arguments, stdout=out)
    return out.getvalue()


def llmrec_json(*arguments: str) -> Any:
    return json.loads(llmrec(*arguments, "--json"))


@pytest.fixture
def shop() -> list[Product]:
    brand = Brand.objects.create(name="Acme")
    titles = ["red kettle", "blue kettle", "green teapot", "garden chair", "garden table", "wool blanket"]
    return [Product.objects.create(title=title, brand=brand, price=10) for title in titles]


def test_build_says_what_it_did_and_a_second_build_that_nothing_was_left(shop: list[Product]) -> None:
    first = llmrec("build", "--document", "product")
    assert "built, 6 written, 6 texts encoded, 0 failed" in first
    assert "up to date, 0 written, 0 texts encoded" in llmrec("build", "--document", "product")


def test_build_estimates_before_it_works(shop: list[Product]) -> None:
    estimate = llmrec_json("build", "--document", "product", "--dry-run")["product"]
    assert estimate["items"] == 6
    assert estimate["to_encode"] == 6
    assert estimate["bytes"] > 0
    assert not Deployment.objects.exists()


def test_search_prints_titles_and_reasons(shop: list[Product]) -> None:
    llmrec("build")
    text = llmrec("search", "kettle", "--document", "product")
    first, second = [line for line in text.splitlines() if line.strip().startswith(("1.", "2."))]
    assert "kettle" in first
    assert "kettle" in second
    assert "Matches your words" in text


def test_search_as_json_has_the_shape_of_the_rest_api(shop: list[Product]) -> None:
    llmrec("build")
    page = llmrec_json("search", "red kettle", "--document", "product", "--explain")
    assert set(page) >= {"results", "total", "facets", "degraded", "request_id", "next"}
    item = page["results"][0]
    assert item["title"] == "red kettle"
    assert item["id"] == str(shop[0].pk)
    assert sum(item["contributions"].values()) == pytest.approx(item["score"])


def test_search_says_what_it_made_of_the_query(shop: list[Product]) -> None:
    llmrec("build")
    assert "Did you mean: red kettle" in llmrec("search", "red kettel", "--document", "product")
    Synonym.objects.create(words="boiler\nkettle")
    assert "“boiler” also found: kettle" in llmrec("search", "boiler", "--document", "product")
    page = llmrec_json("search", "boiler garden", "--document", "product", "--sort", "price")
    assert (page["relaxed"], page["synonyms"], page["language"]) == ("words", {"boiler": ["kettle"]}, "en")


def test_suggest_completes_and_popular_searches_are_counted(shop: list[Product]) -> None:
    llmrec("build")
    assert "garden chair" in llmrec("suggest", "gard", "--document", "product")
    assert "Nothing begins like that." in llmrec("suggest", "xyz", "--document", "product")
    for user in "12345":
        search(SearchRequest(document="product", text="garden table", user_key=user))
    assert llmrec_json("count-queries") == {"course": 0, "product": 1}
    found = llmrec_json("suggest", "gard", "--document", "product", "--limit", "1")
    assert found["queries"] == ["garden table"]
    assert [item["title"] for item in found["items"]] == ["garden chair"]


def test_search_needs_to_know_which_document(shop: list[Product]) -> None:
    llmrec("build")
    with pytest.raises(CommandError, match=r"--document course \| product"):
        llmrec("search", "kettle")


def test_an_unknown_document_names_the_known_ones() -> None:
    with pytest.raises(CommandError, match="product"):
        llmrec("build", "--document", "produkt")


def test_similar_leaves_out_the_item_itself(shop: list[Product]) -> None:
    llmrec("build")
    page = llmrec_json("similar", "product", str(shop[0].pk), "--limit", "3")
    ids = [item["id"] for item in page["results"]]
    assert ids[0] == str(shop[1].pk)  # shares "kettle", brand and price
    assert str(shop[0].pk) not in ids


def test_recommend_follows_what_the_user_bought(shop: list[Product]) -> None:
    llmrec("build")
    interactions.record(user_key="7", document="product", item_id=str(shop[3].pk), kind="purchase")
    page = llmrec_json("recommend", "--user", "7", "--document", "product", "--limit", "3")
    assert page["results"][0]["title"] == "garden table"
    assert any("garden chair" in reason for reason in page["results"][0]["reasons"])


def test_recommend_takes_a_basket_and_filters(shop: list[Product]) -> None:
    llmrec("build")
    asked = ("recommend", "--placement", "basket", "--document", "product", "--basket", str(shop[0].pk))
    page = llmrec_json(*asked, "--filter", "price__lt=1000")
    assert str(shop[0].pk) not in {item["id"] for item in page["results"]}
    with pytest.raises(CommandError, match="Did you mean"):
        llmrec(*asked, "--filter", "prize=3")
    with pytest.raises(CommandError, match="write FIELD=VALUE"):
        llmrec(*asked, "--filter", "price")


def test_drain_indexes_what_changed(shop: list[Product]) -> None:
    llmrec("build")
    shop[0].title = "crimson kettle"
    shop[0].save()
    report = llmrec_json("drain")
    assert report["written"] == 1
    assert report["encoded"] == 1
    assert report["remaining"] == 0
    assert not OutboxEntry.objects.exists()


def test_audit_fails_until_it_has_repaired(shop: list[Product]) -> None:
    llmrec("build")
    Product.objects.filter(pk=shop[0].pk).update(title="changed behind our back")
    with pytest.raises(SystemExit):
        llmrec("audit", "--document", "product")
    assert "1 stale" in llmrec("audit", "--document", "product", "--repair")
    assert "0 missing, 0 stale, 0 orphaned" in llmrec("audit", "--document", "product")


def test_status_shows_the_live_version_and_the_backlog(shop: list[Product]) -> None:
    llmrec("build")
    text = llmrec("status")
    assert "product" in text
    status = llmrec_json("status")
    assert json.dumps(status)
    assert status["healthy"] is True


def test_status_is_not_healthy_before_the_first_build() -> None:
    with pytest.raises(SystemExit):
        llmrec("status")


def test_promote_and_rollback_move_between_versions(shop: list[Product]) -> None:
    llmrec("build", "--document", "product")
    first = Deployment.objects.first()
    llmrec("build", "--document", "product", "--rebuild")
    second = Deployment.objects.first()
    assert first is not None
    assert second is not None
    assert second.index_version_id != first.index_version_id
    assert first.index_version.name in llmrec("rollback", "--document", "product")
    assert second.index_version.name in llmrec("promote", str(second.index_version_id))
    assert Deployment.objects.count() == 4


def test_promoting_what_does_not_exist_is_an_error() -> None:
    with pytest.raises(CommandError, match="no index version 999"):
        llmrec("promote", "999")


def test_import_reports_bad_lines_with_their_number_and_stores_the_rest(
    shop: list[Product], tmp_path: Path
) -> None:
    path = tmp_path / "interactions.jsonl"
    good = {"user": "7", "item": str(shop[0].pk), "kind": "view", "time": "2026-01-02T03:04:05Z"}
    path.write_text(
        json.dumps(good) + "\n{broken\n" + json.dumps({**good, "kind": "stare"}) + "\n", encoding="utf-8"
    )
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("llmrec", "import", "interactions", str(path), "--document", "product", stdout=out)
    assert "interactions.jsonl:2:" in out.getvalue()
    assert "interactions.jsonl:3:" in out.getvalue()
    assert Interaction.objects.count() == 1


def test_import_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"nowhere\.jsonl"):
        llmrec("import", "items", str(tmp_path / "nowhere.jsonl"))


def test_train_makes_also_bought_work(shop: list[Product]) -> None:
    llmrec("build", "--document", "product")
    for user in range(12):
        for product in (shop[0], shop[4]):
            interactions.record(
                user_key=str(user), document="product", item_id=str(product.pk), kind="purchase"
            )
    assert "24 interactions" in llmrec("train", "--document", "product")
    page = llmrec_json("similar", "product", str(shop[0].pk), "--also-bought", "--limit", "1")
    assert page["results"][0]["title"] == "garden table"


def test_export_and_erase_reach_everything_about_a_user(shop: list[Product]) -> None:
    interactions.record(user_key="7", document="product", item_id=str(shop[0].pk), kind="view")
    exported = json.loads(llmrec("export-user", "7"))
    assert str(shop[0].pk) in json.dumps(exported)
    llmrec("erase-user", "7", "--noinput")
    assert not Interaction.objects.filter(user_key="7").exists()


def test_size_out_of_range_is_refused(shop: list[Product]) -> None:
    llmrec("build")
    with pytest.raises(CommandError, match="between 1 and 100"):
        llmrec("search", "kettle", "--document", "product", "--limit", "0")


def test_errors_are_json_too_for_machines() -> None:
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("llmrec", "similar", "produkt", "1", "--json", stdout=out)
    assert json.loads(out.getvalue())["error"]["code"] == "not_found"
