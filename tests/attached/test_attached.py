"""An index that the site owns and fills gains vectors, and nothing else of it ever changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from llmrec_plugin.documents import Signals
from llmrec_plugin.exceptions import ConfigurationError, NotFound
from llmrec_plugin.models import Configuration, Embedding, IndexVersion, OutboxEntry, Synonym
from llmrec_plugin.services import indexing
from llmrec_plugin.services.deployment import promotion, retirement
from llmrec_plugin.services.deployment.engines import attached_engine_of
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.indexing import outbox
from llmrec_plugin.services.indexing.index_audit import audit
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.items.preparation import analysed, indexed_item, prepared
from llmrec_plugin.services.search import search
from llmrec_plugin.services.search.autocomplete import suggest
from llmrec_plugin.types import EngineQuery, Range, Removal, ResultPage, SearchRequest, Terms
from tests.attached.site import AttachedProduct, Site
from tests.hostapp.models import Brand, Product
from tests.support.servers import ELASTICSEARCH_VERSIONS

pytestmark = pytest.mark.django_db

TITLES = ("Wooden desk lamp", "Steel desk", "Paper lantern", "Oak chair", "Glass vase")


both = pytest.mark.parametrize("server", ELASTICSEARCH_VERSIONS, indirect=True)


def stocked(site: Site) -> list[Product]:
    """Products of the site, in its index; the plugin has not been asked to do anything yet."""
    ikea = Brand.objects.create(name="Ikea")
    products = []
    for place, title in enumerate(TITLES):
        made = Product.objects.create(
            title=title, price=10 * place, in_stock=place % 2 == 0, brand=ikea if place else None
        )
        made.created = datetime(2026, 1, 1 + place, 12, tzinfo=UTC)
        made.save()
        products.append(made)
    OutboxEntry.objects.all().delete()
    site.put(*products)
    return products


def find(text: str = "", **values: Any) -> ResultPage:
    return search(SearchRequest(document="attached", text=text, **values))


def titles(page: ResultPage) -> list[str]:
    return [item.title for item in page.results]


def filled(version: IndexVersion | None = None) -> set[str]:
    """Keys of the documents that hold something of the version."""
    version = version or live_pair("attached").index_version
    engine = attached_engine_of(version)
    assert engine is not None
    return {key for key, _ in engine.digests(version.name)}


def keys(*products: Product) -> set[str]:
    return {str(product.pk) for product in products}


def look_again() -> indexing.DrainReport:
    """As if the wait before second looks and attempts were over."""
    OutboxEntry.objects.filter(not_before__isnull=False).update(not_before=timezone.now())
    return indexing.drain()


@both
def test_a_build_adds_vectors_and_leaves_the_sites_documents_as_they_were(site: Site) -> None:
    products = stocked(site)
    before = [site.source(product) for product in products]
    report = build("attached")
    assert (report.written, report.failed) == (len(products), 0)
    assert filled() == keys(*products)
    assert [site.source(product) for product in products] == before
    found = audit("attached")
    assert (found.checked, found.missing, found.stale, found.orphaned) == (len(products), (), (), ())


@both
def test_words_meaning_filters_and_facets_come_from_the_sites_own_fields(site: Site) -> None:
    products = stocked(site)
    build("attached")
    page = find("wooden desk lamp", facets=("maker", "available"))
    assert titles(page)[0] == "Wooden desk lamp"
    assert page.results[0].contributions.keys() == {"text", "vector"}
    assert dict(page.facets["maker"]) == {str(products[1].brand_id): page.total - 1}
    assert sum(count for _, count in page.facets["available"]) == page.total
    maker = Terms(field="maker", values=(str(products[1].brand_id),))
    assert "Wooden desk lamp" not in titles(find("desk", filters=(maker,)))
    cheap = find(filters=(Range(field="price", lte=20),), sort="-price", facets=("since",))
    assert titles(cheap) == ["Paper lantern", "Steel desk", "Wooden desk lamp"]
    millis = {round(float(value) * 1000) for value, _ in cheap.facets["since"]}
    assert millis == {int(product.created.timestamp() * 1000) for product in products[:3]}
    late = Range(field="since", gt=products[1].created.timestamp())
    assert set(titles(find(filters=(late,)))) == set(TITLES[2:])
    exact = Terms(field="since", values=(products[2].created.timestamp(),))
    assert titles(find(filters=(exact,))) == ["Paper lantern"]


def test_a_save_that_the_site_has_written_is_brought_up_to_date(site: Site) -> None:
    lamp, *_ = stocked(site)
    build("attached")
    lamp.title = "Floor light"
    lamp.save()
    site.put(lamp)
    assert indexing.drain().written == 1
    assert titles(find("floor light"))[0] == "Floor light"
    assert not audit("attached").stale


def test_a_document_that_the_site_writes_late_is_waited_for(site: Site) -> None:
    stocked(site)
    build("attached")
    torch = Product.objects.create(title="Torch")
    assert indexing.drain().failed == 1
    entry = OutboxEntry.objects.get()
    assert entry.last_error == outbox.ABSENT.message
    assert entry.not_before is not None
    assert entry.not_before < timezone.now() + timedelta(seconds=5)
    site.put(torch)
    assert look_again().encoded == 0
    assert str(torch.pk) in filled()


def test_a_document_that_never_comes_is_left_to_the_audit_and_never_made(site: Site) -> None:
    stocked(site)
    build("attached")
    torch = Product.objects.create(title="Torch")
    indexing.drain()
    for _ in range(outbox.ABSENT_ATTEMPTS):
        look_again()
    assert not OutboxEntry.objects.exists()
    assert audit("attached").missing == (str(torch.pk),)
    assert site.client.count(index=site.index)["count"] == len(TITLES)


@both
def test_a_second_look_mends_what_the_site_wrote_over(site: Site) -> None:
    lamp, *_ = stocked(site)
    build("attached")
    look_again()
    lamp.save()
    indexing.drain()
    site.put(lamp)  # after us
    assert str(lamp.pk) not in filled()
    assert outbox.is_due_soon()
    report = look_again()
    assert (report.encoded, report.failed) == (0, 0)
    assert not outbox.is_due_soon()
    assert str(lamp.pk) in filled()
    assert not OutboxEntry.objects.exists()


def test_a_second_look_that_finds_all_well_writes_nothing(site: Site) -> None:
    lamp, *_ = stocked(site)
    build("attached")
    lamp.save()
    indexing.drain()
    before = site.client.get(index=site.index, id=f"product-{lamp.pk}")["_seq_no"]
    look_again()
    assert site.client.get(index=site.index, id=f"product-{lamp.pk}")["_seq_no"] == before
    assert not OutboxEntry.objects.exists()


def test_a_write_that_the_site_overtook_is_refused(site: Site) -> None:
    lamp, *_ = stocked(site)
    version = build("attached").index_version
    engine = attached_engine_of(version)
    assert engine is not None
    seen = engine.observe(version.name, [str(lamp.pk)])
    site.put(lamp)
    found = prepared(AttachedProduct(), lamp)
    assert found is not None
    put = indexed_item(
        found,
        analysed=analysed(found),
        version=version,
        vector=Embedding.objects.first().as_array(),  # type: ignore[union-attr]
        revision=10_000,
        seen=seen[str(lamp.pk)],
    )
    report = engine.write(version.name, [put])
    assert (report.written, report.overtaken) == (0, frozenset({str(lamp.pk)}))
    assert str(lamp.pk) not in filled()


def test_what_may_not_be_found_loses_its_vector_and_stays_in_the_sites_index(site: Site) -> None:
    lamp, *others = stocked(site)
    build("attached")
    lamp.is_draft = True
    lamp.save()
    assert indexing.drain().removed == 1
    assert filled() == keys(*others)
    assert site.source(lamp)["title"] == lamp.title


def test_an_item_that_is_gone_everywhere_leaves_nothing_to_do(site: Site) -> None:
    lamp, *others = stocked(site)
    build("attached")
    site.delete(lamp)
    lamp.delete()
    report = indexing.drain()
    assert (report.removed, report.failed) == (1, 0)
    assert filled() == keys(*others)


@both
def test_a_new_generation_goes_live_and_back_and_the_old_one_is_emptied_after_its_grace_time(
    site: Site,
) -> None:
    products = stocked(site)
    first = build("attached").index_version
    second = build("attached", rebuild=True).index_version
    torch = Product.objects.create(title="Torch")
    site.put(torch)
    assert indexing.drain().failed == 0
    assert filled(first) == filled(second) == keys(*products, torch)
    assert titles(find("torch"))[0] == "Torch"
    promotion.rollback("attached", by="ada")
    assert titles(find("torch"))[0] == "Torch"
    engine, vector = attached_engine_of(first), Embedding.objects.first()
    assert engine is not None
    assert vector is not None
    found = engine.search(first.name, EngineQuery(vector=vector.as_array())).vector
    assert {hit.key for hit in found} == keys(*products, torch)  # one update left the other's vectors alone
    promotion.promote(second, by="ada")
    retirement.sweep(now=timezone.now() + timedelta(days=2))
    assert filled(first) == set()
    assert filled(second) == keys(*products, torch)
    assert site.source(torch)["title"] == "Torch"


def test_a_generation_that_could_not_be_emptied_is_found_again(site: Site) -> None:
    stocked(site)
    first = build("attached").index_version
    build("attached", rebuild=True)
    IndexVersion.objects.filter(pk=first.pk).update(
        state=IndexVersion.State.DROPPED, dropped_at=timezone.now()
    )
    retirement.sweep()
    assert filled(first) == set()


@both
def test_an_index_that_the_site_made_anew_still_answers_by_words(site: Site) -> None:
    products = stocked(site)
    build("attached")
    site.rebuild(*products)
    page = find("desk lamp")
    assert titles(page)[0] == "Wooden desk lamp"
    assert filled() == set()


@both
def test_a_late_write_never_makes_the_index_in_the_sites_place(site: Site) -> None:
    lamp, *_ = stocked(site)
    version = build("attached").index_version
    engine = attached_engine_of(version)
    assert engine is not None
    seen = engine.observe(version.name, [str(lamp.pk)])[str(lamp.pk)]
    site.client.indices.delete(index=site.index)
    with pytest.raises(NotFound):
        engine.write(version.name, [], [Removal(key=str(lamp.pk), revision=9, seen=seen)])
    assert not site.client.indices.exists(index=site.index)


def test_a_missing_index_is_the_sites_to_make(site: Site) -> None:
    site.clean()
    with pytest.raises(NotFound, match="the site makes it"):
        build("attached")
    assert not site.client.indices.exists(index=site.index)


def test_a_field_that_the_index_does_not_have_is_named(site: Site) -> None:
    site.clean()
    site.client.indices.create(index=site.index, mappings={"properties": {"title": {"type": "text"}}})
    with pytest.raises(ConfigurationError, match="description"):
        build("attached")
    assert "llmrec" not in str(site.client.indices.get_mapping(index=site.index))


def test_a_declaration_that_is_changed_is_compared_with_the_index_again(site: Site) -> None:
    stocked(site)
    build("attached")
    mistaken = replace(AttachedProduct.attached, text_fields=["title^3", "summary"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AttachedProduct, "attached", mistaken)
        with pytest.raises(ConfigurationError, match="'summary'"):
            build("attached")
    assert titles(find("desk lamp", sort="price")) == ["Wooden desk lamp"]


def test_an_excluded_item_is_not_found(site: Site) -> None:
    lamp, *_ = stocked(site)
    version = build("attached").index_version
    engine = attached_engine_of(version)
    vector = Embedding.objects.get(item_id=str(lamp.pk)).as_array()
    assert engine is not None
    query = EngineQuery(vector=vector, exclude=frozenset({str(lamp.pk)}))
    assert str(lamp.pk) not in {hit.key for hit in engine.search(version.name, query).vector}


@both
def test_what_visitors_type_means_the_same_in_the_sites_own_index(site: Site) -> None:
    stocked(site)
    build("attached")
    IndexVersion.objects.update(floor=None)
    assert titles(find('"desk lamp"')) == ["Wooden desk lamp"]
    assert "Steel desk" not in titles(find("desk -steel"))
    assert titles(find("desk", sort="-price")) == ["Steel desk", "Wooden desk lamp"]
    assert titles(find("desk lamp", sort="price")) == ["Wooden desk lamp"]
    assert find('"lamp desk"').relaxed == "phrases"
    Synonym.objects.create(words="luminaire\nlamp")
    words = [item.title for item in find("luminaire").results if "text" in item.contributions]
    assert words == ["Wooden desk lamp"]
    assert find("lmap").did_you_mean is None


@both
def test_titles_of_the_sites_own_index_complete_what_is_typed(site: Site) -> None:
    stocked(site)
    build("attached")

    def begun(text: str) -> set[str]:
        return {item.title for item in suggest(text, document="attached").items}

    assert begun("des") == begun("desk") == {"Wooden desk lamp", "Steel desk"}
    assert begun("desk la") == {"Wooden desk lamp"}
    assert begun("wodoen des") == {"Wooden desk lamp"}
    assert begun("…") == begun("xyz") == set()


@both
def test_signals_are_read_from_the_sites_own_fields(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    stocked(site)
    build("attached")
    IndexVersion.objects.update(floor=None)
    declaration = Signals(date="since", available="available", group="maker")
    monkeypatch.setattr(AttachedProduct, "signals", declaration)
    Configuration(freshness_weight=0.1, availability_weight=0.1, most_per_group=2).save()
    page = find("desk")
    for item in page.results:
        assert item.contributions["availability"] == pytest.approx(0.1 * item.object.in_stock)
        assert item.contributions["freshness"] > 0
        assert item.score == pytest.approx(sum(item.contributions.values()))
    makers = [item.object.brand_id for item in page.results][:3]
    assert makers.count(page.results[-1].object.brand_id) <= 2
