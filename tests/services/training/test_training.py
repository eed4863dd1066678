"""What is learned from who took what, and how it becomes live."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.exceptions import NotBuilt
from llmrec_plugin.models import Deployment, Embedding, Interaction, ModelArtefact, ModelVersion
from llmrec_plugin.services import privacy
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.model_registry.artefacts import learned_by, loaded
from llmrec_plugin.services.model_registry.training_report import report_of
from llmrec_plugin.services.training import model_fit
from tests.hostapp.models import Product
from tests.support.serving import did, open_shop, stock

pytestmark = pytest.mark.django_db


def couples(products: dict[str, Product]) -> None:
    """Twelve users buy hose and mower, twelve lamp and chair, one of each pair also a pot."""
    for user in range(12):
        did(f"g{user}", "purchase", [products["steel garden hose"], products["steel lawn mower"]])
        did(f"d{user}", "purchase", [products["steel desk lamp"], products["steel office chair"]])
    did("g0", "purchase", [products["steel flower pot"]])


def test_what_is_bought_together_becomes_neighbours() -> None:
    products = open_shop()
    couples(products)
    version = model_fit.fit("product", by="test")
    learned = learned_by(version)
    hose, mower = str(products["steel garden hose"].pk), str(products["steel lawn mower"].pk)
    assert learned.co_interacted(hose)[0][0] == mower
    assert str(products["steel desk lamp"].pk) not in dict(learned.co_interacted(hose))
    assert learned.popular[0][0] in {hose, mower}
    assert learned.kind == "purchase"
    assert report_of(version).events == 49
    assert report_of(version).users == 24
    assert report_of(version).items == 5
    assert report_of(version).method == "ease"
    assert report_of(version).seconds >= 0


def test_an_item_that_nobody_took_goes_with_what_is_like_it() -> None:
    products = open_shop()
    couples(products)
    learned = learned_by(model_fit.fit("product"))
    hose, wooden = str(products["steel garden hose"].pk), str(products["wooden garden hose"].pk)
    assert wooden in dict(learned.neighbours_of(hose))
    assert learned.neighbours_of(wooden)[0][0] == hose
    assert wooden in learned.text_neighbours(hose)
    assert wooden not in dict(learned.co_interacted(hose))
    assert dict(learned.co_interacted(hose)).items() <= dict(learned.neighbours_of(hose)).items()
    # it is no more popular, and no less new, for that
    assert wooden not in learned.keys
    assert wooden not in dict(learned.popular)
    assert learned.popularity_of([wooden]) == {}
    assert learned.neighbours_of("not there yet") == []
    assert learned.text_neighbours("not there yet") == frozenset()


@pytest.mark.parametrize("vectors", ["all the same", "none"])
def test_without_vectors_that_tell_items_apart_only_company_counts(vectors: str) -> None:
    products = open_shop()
    couples(products)
    if vectors == "none":
        Embedding.objects.all().delete()
    else:
        Embedding.objects.update(vector=Embedding.objects.values_list("vector", flat=True)[0])
    learned = learned_by(model_fit.fit("product"))
    hose, mower = str(products["steel garden hose"].pk), str(products["steel lawn mower"].pk)
    assert learned.neighbours_of(hose)[0][0] == mower
    assert learned.others == ()


def test_the_model_goes_live_with_the_live_index() -> None:
    products = open_shop()
    couples(products)
    before = live_pair("product")
    version = model_fit.fit("product", by="test")
    after = live_pair("product")
    assert after.index_version == before.index_version
    assert (before.model_version, after.model_version) == (None, version)
    assert Deployment.objects.first().by == "test"  # type: ignore[union-attr]


def test_a_model_is_read_once_per_process(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    products = open_shop()
    couples(products)
    version = model_fit.fit("product")
    loaded.clear()
    with django_assert_num_queries(1):
        first = learned_by(version)
    with django_assert_num_queries(0):
        assert learned_by(version) is first


def test_learning_the_same_twice_stores_the_arrays_once() -> None:
    products = open_shop()
    couples(products)
    model_fit.fit("product")
    model_fit.fit("product")
    assert (ModelVersion.objects.count(), ModelArtefact.objects.count()) == (2, 1)


def test_arrays_survive_storing() -> None:
    products = open_shop()
    couples(products)
    version = model_fit.fit("product")
    loaded.clear()
    learned = learned_by(version)
    assert learned.neighbours.indices.dtype == np.int32
    assert learned.neighbours.weights.dtype == np.float32
    assert learned.neighbours.indices.shape == learned.together.shape == (30, 50)
    assert learned.together.any()
    assert len(learned.keys) == 5
    assert len(learned.others) == 25
    assert learned.popularity_of([*learned.keys, "unknown"]).keys() == set(learned.keys)
    assert max(learned.prior) == pytest.approx(1.0)


def test_a_few_events_teach_popularity_only() -> None:
    products = open_shop(copies=1)
    did("1", "purchase", [products["steel garden hose"], products["steel lawn mower"]])
    did("2", "purchase", [products["steel garden hose"]])
    version = model_fit.fit("product")
    learned = learned_by(version)
    assert report_of(version).method == "popularity"
    assert learned.popular[0][0] == str(products["steel garden hose"].pk)
    assert learned.co_interacted(learned.popular[0][0]) == []


def test_no_event_at_all_is_no_error() -> None:
    open_shop(copies=1)
    version = model_fit.fit("product")
    learned = learned_by(version)
    assert (report_of(version).events, learned.keys, learned.popular) == (0, (), ())
    assert version.events_until is None
    assert learned_by(None).co_interacted("1") == []


def test_without_a_live_index_nothing_is_learned() -> None:
    stock(copies=1)
    with pytest.raises(NotBuilt):
        model_fit.fit("product")
    assert not ModelVersion.objects.exists()


def test_only_consented_events_in_favour_of_visible_items_count() -> None:
    products = open_shop(copies=1)
    hose, mower, pot = (products[f"steel {thing}"] for thing in ("garden hose", "lawn mower", "flower pot"))
    hidden = products["steel seed tray"]
    did("1", "purchase", [hose])
    did("1", "dismiss", [mower])
    did("2", "purchase", [mower])
    privacy.set_consent("2", granted=False)
    did("3", "view", [hidden])
    Product.objects.filter(pk=hidden.pk).update(is_draft=True)
    Interaction.objects.create(
        user_key="4", document="product", item_id=str(pot.pk), kind="rating", value=1.0, at=timezone.now()
    )
    learned = learned_by(model_fit.fit("product"))
    assert learned.keys == (str(hose.pk),)


def test_a_good_rating_counts() -> None:
    products = open_shop(copies=1)
    pot = products["steel flower pot"]
    Interaction.objects.create(
        user_key="4", document="product", item_id=str(pot.pk), kind="rating", value=5.0, at=timezone.now()
    )
    assert learned_by(model_fit.fit("product")).keys == (str(pot.pk),)


def test_only_events_up_to_now_count() -> None:
    products = open_shop(copies=1)
    did("1", "view", [products["steel garden hose"]], at=timezone.now() - timedelta(days=2))
    did("1", "view", [products["steel lawn mower"]])
    version = model_fit.fit("product", now=timezone.now() - timedelta(days=1))
    assert learned_by(version).keys == (str(products["steel garden hose"].pk),)
    assert version.events_until == Interaction.objects.order_by("at")[0].at


def test_progress_is_told_step_by_step() -> None:
    open_shop(copies=1)
    steps: list[tuple[int, int]] = []
    model_fit.fit("product", progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 3), (2, 3), (3, 3)]
