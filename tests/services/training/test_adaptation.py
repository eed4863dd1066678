"""The space of the texts is adapted to a site's events when that is proven to pay, and only then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest
from django.test import Client
from django.utils import timezone

from llmrec_plugin.learning.scorers.catalogue_scores import Collaborative
from llmrec_plugin.learning.selection.model_config import Fitted, likeness, points
from llmrec_plugin.models import Configuration, Deployment, IndexVersion, Interaction, ModelVersion
from llmrec_plugin.services.deployment import promotion
from llmrec_plugin.services.inference.item_vectors import vectors_of
from llmrec_plugin.services.model_registry.adaptation import Adaptation
from llmrec_plugin.services.model_registry.artefacts import learned_by
from llmrec_plugin.services.model_registry.training_report import report_of
from llmrec_plugin.services.recommendations import recommend, similar
from llmrec_plugin.services.serving.stored_lists import next_page
from llmrec_plugin.services.training import model_fit
from tests.support import families
from tests.support.families import FAMILIES, Products, families_for, only_texts, wares
from tests.support.training_reports import gate_of, step_names

pytestmark = pytest.mark.django_db

USERS, LENGTH = 260, 12


def shop() -> Products:
    """The family is told by most words of a text, the thing by one."""
    return wares(lambda of, what: (f"{of} {what}", f"{of} ware, {of} work, all {of}"))


def live(products: Products, following: Callable[[int], int]) -> None:
    families.live(products, following, users=USERS, length=LENGTH)


def next_family(family: int) -> int:
    return family + 1


def test_what_follows_what_is_learned_goes_live_and_can_be_taken_back() -> None:
    products = shop()
    only_texts()
    live(products, next_family)
    model_fit.fit("product", by="test", now=timezone.now() - timedelta(days=30))
    before = families_for(products, 2)
    assert before.count("wool") > 4

    version = model_fit.fit("product", by="test")
    assert gate_of(version).taken
    assert gate_of(version).low > 0
    selection = report_of(version).selection
    assert selection is not None
    assert selection.cases >= 200
    names = step_names(version)
    assert names == ["popularity", "frozen", "whitening", "head", "neighbours", "prior"]
    after = families_for(products, 2)
    assert after.count("glass") > 5

    promotion.rollback("product", by="test")
    assert families_for(products, 2).count("wool") > 4


def test_an_editor_can_keep_his_own_weights() -> None:
    products = shop()
    only_texts()
    live(products, next_family)
    model_fit.fit("product", by="test")
    assert families_for(products, 5).count("paper") > 5
    Configuration.objects.update(learned=False)
    assert families_for(products, 5).count("clay") > 4


def test_events_at_random_change_nothing() -> None:
    products = shop()
    draw = np.random.default_rng(1)
    live(products, lambda family: int(draw.integers(len(FAMILIES))))
    version = model_fit.fit("product", by="test")
    assert not gate_of(version).taken
    assert learned_by(version).adaptation is None


def test_few_events_are_not_measured() -> None:
    products = shop()
    live(products, next_family)
    Interaction.objects.exclude(user_key__in=["u1", "u2", "u3"]).delete()
    version = model_fit.fit("product", by="test")
    assert report_of(version).gate is None
    assert report_of(version).steps == ()
    assert learned_by(version).adaptation is None


def test_a_winner_stays_and_follows_the_events_until_it_is_beaten() -> None:
    products = shop()
    only_texts()
    live(products, next_family)
    first = learned_by(model_fit.fit("product", by="test")).adaptation
    again = model_fit.fit("product", by="test")
    second = learned_by(again).adaptation
    assert first is not None
    assert second is not None
    assert not gate_of(again).taken
    assert second.config == first.config
    assert families_for(products, 2).count("glass") > 5


def test_what_was_learned_with_another_encoder_is_left_alone() -> None:
    products = shop()
    only_texts()
    live(products, next_family)
    model_fit.fit("product", by="test")
    live_version = Deployment.objects.latest("id").index_version
    IndexVersion.objects.filter(pk=live_version.pk).update(encoder_id="another")
    # The vectors are still there; only the identity says that the head does not fit them.
    assert families_for(products, 2).count("wool") > 4
    assert learned_by(ModelVersion.objects.latest("id")).adaptation is not None


def test_arrays_survive_storing() -> None:
    products = shop()
    only_texts()
    live(products, next_family)
    adaptation = learned_by(model_fit.fit("product", by="test")).adaptation
    assert adaptation is not None
    again = Adaptation.from_arrays(adaptation.to_arrays())
    assert again is not None
    assert again.config == adaptation.config
    assert again.encoder_id == adaptation.encoder_id
    assert (again.head is None) == (adaptation.head is None)
    if again.head is not None and adaptation.head is not None:
        assert again.head.adapted == pytest.approx(adaptation.head.adapted)
        assert again.head.whitening.matrix == pytest.approx(adaptation.head.whitening.matrix)
    assert Adaptation.from_arrays({}) is None


def test_a_list_is_ranked_by_the_scores_that_training_measured() -> None:
    """Every item is compared, so that nothing hangs on which candidates were found."""
    products = shop()
    Configuration(diversity=0.0).save()
    live(products, next_family)
    Interaction.objects.filter(user_key__in=[f"u{user}" for user in range(0, USERS, 2)]).update(kind="view")
    model_fit.fit("product", by="test")
    learned = learned_by(ModelVersion.objects.latest("id"))
    adaptation = learned.adaptation
    assert adaptation is not None
    assert adaptation.config.weights is not None
    person = "u4"
    page = recommend("for-you", document="product", user_key=person, limit=60)

    version = Deployment.objects.latest("id").index_version
    stored = vectors_of(version, learned.keys)
    vectors = np.stack([stored[key] for key in learned.keys])
    past = list(Interaction.objects.filter(user_key=person).order_by("at").values_list("item_id", "kind"))
    fitted = Fitted(
        adaptation.config,
        likeness(adaptation.head, vectors, gamma=adaptation.config.gamma),
        Collaborative(learned.neighbours, adaptation.config.neighbour_gamma),
        learned.prior,
    )
    amounts = [[{"view": 0.25, "purchase": 1.0}[kind] for _, kind in past]]
    measured = fitted([[learned.positions[key] for key, _ in past]], amounts)[0]

    ranked = [item for item in page.results if any(name.startswith("taste") for name in item.contributions)]
    assert len(ranked) > 50
    shifts = [item.score - float(measured[learned.positions[item.item_id]]) for item in ranked]
    assert shifts == pytest.approx([shifts[0]] * len(shifts), abs=2e-3)  # stored vectors have half precision

    assert adaptation.pointwise is not None
    told = [item.probability for item in ranked]
    parts = points(adaptation.config.weights, fitted, [[learned.positions[key] for key, _ in past]], amounts)
    meant = adaptation.pointwise(
        np.stack(parts, axis=2)[0][[learned.positions[item.item_id] for item in ranked]]
    )
    assert told == pytest.approx(meant.tolist(), abs=5e-3)


def test_staff_is_told_the_probability_on_every_page_and_nobody_else(
    client: Client, admin_client: Client
) -> None:
    products = shop()
    live(products, next_family)
    model_fit.fit("product", by="test")
    user = "person"
    families_for(products, 3)
    Interaction.objects.filter(user_key__startswith="new-3").update(user_key=user)
    page = recommend("for-you", document="product", user_key=user, limit=8)
    later = next_page(page.next or "", user_key=user)
    told = [item.probability for item in (*page.results, *later.results)]
    assert all(value is not None and 0 < value < 1 for value in told)
    alike = similar("product", products[3, 0].pk, limit=4)
    assert [item.probability for item in alike.results] == [None] * 4

    address = "/api/recommendations/for-you/?document=product&limit=4"
    shown = admin_client.get(f"{address}&explain=1").json()["results"]
    assert [item["probability"] for item in shown] == [None] * 4  # nothing is known of this editor's taste
    assert not any("probability" in item for item in client.get(address).json()["results"])
