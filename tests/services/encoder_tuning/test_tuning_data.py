"""What an encoder is tuned on: pairs from what people did, by time, and nothing that it is judged on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from llmrec_plugin.exceptions import TrainingFailed
from llmrec_plugin.models import Interaction
from llmrec_plugin.services import interactions, privacy
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.encoder_tuning.behaviour import behaviour_of, judged_from
from llmrec_plugin.services.encoder_tuning.training_data import make_training_data
from llmrec_plugin.services.inference.encoders import encoder_of
from llmrec_plugin.services.search import search
from llmrec_plugin.training.base import TrainingData, TrainingOptions
from llmrec_plugin.types import SearchRequest
from tests.support import families
from tests.support.families import FAMILIES, Products, wares

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Products:
    """Whoever took something of one family takes something of the next one."""
    products = wares(lambda of, what: (f"{of} {what}", f"{of} ware, {of} work, all {of}"))
    families.live(products, lambda family: family + 1, users=60, length=8)
    return products


def data(**options: Any) -> TrainingData:
    behaviour = behaviour_of("product", now=timezone.now())
    encoder = encoder_of(live_pair("product").index_version)
    return make_training_data(
        behaviour, encoder, TrainingOptions(**options), prompts=("query: ", "passage: ")
    )


def family_of(text: str) -> int:
    return FAMILIES.index(text.removeprefix("passage: ").split()[0])


def moment(share: float) -> datetime:
    """When so large a share of the events was past."""
    moments = list(Interaction.objects.order_by("at").values_list("at", flat=True))
    return moments[int(share * len(moments))] + timedelta(seconds=1)


def searched(product: Any, text: str, *, at: datetime, user: str) -> None:
    page = search(SearchRequest(document="product", text=text, user_key=user))
    interactions.record(
        user_key=user,
        document="product",
        item_id=product.pk,
        kind="click",
        request_id=str(page.request_id),
        at=at,
    )


def test_pairs_lead_from_what_was_taken_to_what_was_taken_next_before_what_is_judged(shop: Products) -> None:
    found = data(loss="ranking")
    train = found.train
    follows = [
        (family_of(found.texts[left]), family_of(found.texts[right]))
        for left, right in zip(train.left[:, -1].tolist(), train.right.tolist(), strict=True)
    ]
    assert follows
    assert {(right - left) % len(FAMILIES) for left, right in follows} == {1}
    behaviour = behaviour_of("product", now=timezone.now())
    # Eight tenths of 480 events are learned from, and the first of a user follows nothing.
    assert len(train) <= 0.8 * 480
    assert judged_from(behaviour) == pytest.approx(moment(0.9).timestamp(), abs=120)
    assert found.facts["interactions"] == 480
    assert all(text.startswith("passage: ") for text in found.texts[: found.items])


def test_words_of_a_search_lead_to_what_was_taken_of_its_results_but_not_those_it_is_judged_on(
    shop: Products,
) -> None:
    early, late = moment(0.4), moment(0.97)
    searched(shop[3, 0], "cup of glass", at=early, user="ada")
    searched(shop[4, 0], "steel", at=late, user="ben")
    searched(shop[5, 0], "clay", at=early, user="eve")
    privacy.set_consent("eve", granted=False)
    found = data(loss="ranking")
    queries = list(found.texts[found.items :])
    assert queries == ["query: cup of glass", "query: steel"]
    clicked = {
        (found.texts[left], found.texts[right].splitlines()[0])
        for part in (found.train, found.valid)
        for left, right in zip(part.left[:, -1].tolist(), part.right.tolist(), strict=True)
        if left >= found.items
    }
    assert clicked == {("query: cup of glass", "passage: glass box")}


def test_a_core_set_has_pairs_of_every_kind_where_chance_leaves_some_out(shop: Products) -> None:
    """Ten pairs of eight kinds, told apart by the family that follows."""
    chosen = data(loss="ranking", most_pairs=10, coreset=True)
    kinds = {family_of(chosen.texts[row]) for row in chosen.train.right.tolist()}
    assert len(chosen.train) == 10
    assert kinds == set(range(len(FAMILIES)))
    drawn = data(loss="ranking", most_pairs=10)
    assert len(drawn.train) == 10
    assert not np.array_equal(drawn.train.right, chosen.train.right)


def test_hard_negatives_are_items_that_are_not_known_to_follow(shop: Products) -> None:
    found = data(loss="ranking", hard_negatives=True)
    train = found.train
    there = train.negative >= 0
    assert there.mean() > 0.3  # in so small a shop nearly all that is alike follows
    left, negative = train.left[there, -1], train.negative[there]
    assert not found.known.contains(left, negative).any()
    assert (negative != train.right[there]).all()
    assert (negative < found.items).all()
    assert (data(loss="ranking").train.negative == -1).all()


def test_ratings_are_learned_from_what_was_liked_before(shop: Products) -> None:
    Interaction.objects.update(kind="rating", value=5)
    Interaction.objects.filter(user_key__in=["u1", "u2", "u3"]).update(value=1)
    found = data(loss="mse")
    # Who never liked anything gives no left side; the others rate all with the best of the scale.
    assert set(found.train.value.tolist()) == {1.0}
    liked = Interaction.objects.filter(value=5).order_by("at")[: int(0.8 * 480)]
    assert len(found.train) <= liked.count()
    Interaction.objects.filter(user_key__in=["u10", "u11", "u12"]).update(value=3)
    values = set(data(loss="mse").train.value.tolist())
    assert values == {0.5, 1.0}


def test_the_same_seed_draws_the_same_pairs_and_another_one_others(shop: Products) -> None:
    first, again, other = (data(loss="ranking", most_pairs=40, seed=seed).train for seed in (1, 1, 2))
    assert np.array_equal(first.left, again.left)
    assert np.array_equal(first.right, again.right)
    assert not np.array_equal(first.right, other.right)


def test_what_people_take_together_is_distilled_and_the_title_told_from_the_rest(shop: Products) -> None:
    found = data(loss="distillation", language=0.5)
    assert found.neighbours is not None
    assert (found.train.value > 0).all()
    lengths = found.titles.tolist()
    cut = {found.texts[row][: lengths[row]] for row in range(found.items)}
    assert "passage: oak box" in cut
    assert found.frozen is not None
    assert data(loss="distillation", anchor=0.0).frozen is None


def test_users_with_one_event_each_make_no_pairs_and_that_is_said() -> None:
    products = wares(lambda of, what: (f"{of} {what}", f"{of} ware"))
    families.live(products, lambda family: family, users=300, length=1)
    with pytest.raises(TrainingFailed, match="300 interactions make 0 pairs to learn from and 0 to stop by"):
        data(loss="ranking")
