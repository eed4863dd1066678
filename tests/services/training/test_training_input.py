"""Events as they should not be: each training ends in a clear state, and lists go on."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import Interaction, ModelVersion, TrainingRun
from llmrec_plugin.services import interactions
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.encoder_tuning import behaviour
from llmrec_plugin.services.model_registry.artefacts import learned_by
from llmrec_plugin.services.model_registry.training_report import report_of
from llmrec_plugin.services.recommendations import recommend
from llmrec_plugin.services.training import drift, runs
from tests.hostapp.models import Product
from tests.support.serving import did, open_shop
from tests.support.training_reports import gate_of

pytestmark = pytest.mark.django_db


def rows(products: list[Product], users: int, **values: Any) -> None:
    """Each user acts on each of the products once, the users one after the other."""
    start = timezone.now() - timedelta(days=1)
    Interaction.objects.bulk_create(
        Interaction(
            **{
                "user_key": f"u{user}",
                "document": "product",
                "item_id": str(product.pk),
                "kind": "purchase",
                "at": start + timedelta(seconds=60 * user + place),
                **values,
            }
        )
        for user in range(users)
        for place, product in enumerate(products)
    )


def trained() -> ModelVersion:
    """A training that ends well, with lists and a measurement of drift after it."""
    version = runs.train("product", by="test")
    assert TrainingRun.objects.latest("id").state == TrainingRun.State.DONE
    assert live_pair("product").model_version == version
    assert recommend("for-you", document="product", user_key="somebody new").results
    drift.measure("product")
    learned = learned_by(version)
    assert np.isfinite(learned.prior).all()
    assert np.isfinite(learned.neighbours.weights).all()
    return version


def test_everybody_takes_the_same_item() -> None:
    hose = open_shop()["steel garden hose"]
    rows([hose], users=400)
    version = trained()
    assert learned_by(version).keys == (str(hose.pk),)
    assert report_of(version).gate is None or not gate_of(version).taken


def test_everybody_takes_all_items() -> None:
    rows(list(open_shop(copies=1).values()), users=60)
    trained()


def test_users_with_one_event_each() -> None:
    products = list(open_shop().values())
    start = timezone.now() - timedelta(days=1)
    for user in range(300):
        did(f"u{user}", "view", [products[user % 30]], at=start + timedelta(minutes=user))
    version = trained()
    assert report_of(version).users == 300
    assert learned_by(version).co_interacted(str(products[0].pk)) == []


def test_items_that_are_gone_since_are_left_out() -> None:
    products = list(open_shop().values())
    rows(products[:6], users=40)
    gone = [str(product.pk) for product in products[:3]]
    Product.objects.filter(pk__in=gone).delete()
    rows(products[6:8], users=1, item_id="no such key")
    version = trained()
    assert set(learned_by(version).keys) == {str(one.pk) for one in products[3:6]}
    Product.objects.filter(pk=products[4].pk).delete()  # and what the live model knows may go, too
    page = recommend("for-you", document="product", user_key="somebody new", limit=30)
    assert str(products[4].pk) not in {item.item_id for item in page.results}


def test_no_item_is_left() -> None:
    products = list(open_shop(copies=1).values())
    rows(products, users=10)
    Product.objects.all().delete()
    version = runs.train("product", by="test")
    assert report_of(version).events == 0
    assert not recommend("for-you", document="product", user_key="u0").results


def test_events_of_the_future_wait_for_their_time() -> None:
    products = list(open_shop(copies=1).values())
    rows(products[:2], users=10)
    rows(products[2:4], users=10, at=timezone.now() + timedelta(days=400))
    version = trained()
    assert set(learned_by(version).keys) == {str(one.pk) for one in products[:2]}
    assert version.events_until is not None
    assert version.events_until < timezone.now()


def test_an_event_that_came_often_counts_its_user_once() -> None:
    products = list(open_shop(copies=1).values())
    rows([products[0]], users=9)
    for _ in range(50):
        rows([products[1]], users=3)
    popular = learned_by(trained()).popular
    assert popular[0][0] == str(products[0].pk)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, -1e300, 10**400])
def test_ratings_that_are_no_numbers_are_refused_and_those_in_the_table_do_no_harm(value: float) -> None:
    products = list(open_shop(copies=1).values())
    rows(products[:3], users=30)
    if isinstance(value, float):  # no table holds the last one
        rows(products[3:6], users=30, kind="rating", value=value)
        trained()
    with pytest.raises(InvalidRequest, match="a finite number, at most 1,000,000,000,000, not"):
        interactions.record(
            user_key="1", document="product", item_id=products[0].pk, kind="rating", value=value
        )


def test_a_rating_far_outside_of_the_scale_does_not_press_the_others_to_one_point() -> None:
    """Two hundred ratings of 1 to 5, and one that somebody sent to do harm; and the same without them."""
    products = list(open_shop(copies=1).values())
    for shift in range(5):  # each is liked by somebody
        for stars in range(1, 6):
            rows([products[(stars + shift) % 5]], users=8, kind="rating", value=float(stars))
    rows([products[0]], users=1, kind="rating", value=1e9)
    ratings = behaviour.behaviour_of("product", now=timezone.now()).ratings
    assert sorted(set(ratings.values.tolist())) == [0, 0.25, 0.5, 0.75, 1]
    Interaction.objects.exclude(value=5).delete()
    ratings = behaviour.behaviour_of("product", now=timezone.now()).ratings
    assert set(ratings.values.tolist()) == {1}


def test_texts_that_were_never_encoded_leave_the_rest_of_the_model() -> None:
    from llmrec_plugin.models import Embedding

    products = list(open_shop().values())
    rows(products[:8], users=60)
    Embedding.objects.all().delete()
    version = trained()
    assert learned_by(version).popular
    assert report_of(version).gate is None
