"""Models learned with noise: what they still know, what they cost, and what they may not be made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import Client, override_settings

from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.models import Interaction, ModelVersion
from llmrec_plugin.services import privacy
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.encoder_tuning import pipeline
from llmrec_plugin.services.model_registry.artefacts import learned_by
from llmrec_plugin.services.model_registry.training_report import report_of
from llmrec_plugin.services.recommendations import also_bought, recommend
from llmrec_plugin.services.training import model_fit, runs
from llmrec_plugin.services.training import private as private_learning
from llmrec_plugin.services.training.transfer import transfer
from llmrec_plugin.training.base import TrainingOptions
from tests.support import families
from tests.support.families import Products, families_for, only_texts, wares
from tests.support.training_reports import bill_of, gate_of, step_names

pytestmark = pytest.mark.django_db

FAINT, STRONG = {"epsilon": 1000.0}, {"epsilon": 0.1}
"""Of the noise."""


@contextmanager
def private(**given: Any) -> Iterator[None]:
    with override_settings(LLMREC={**django_settings.LLMREC, "DIFFERENTIAL_PRIVACY": given}):
        yield


def shop() -> Products:
    products = wares(lambda of, what: (f"{of} {what}", f"{of} ware, {of} work, all {of}"))
    families.live(products, lambda family: family + 1, users=260, length=12)
    only_texts()
    return products


def test_a_rule_is_learned_through_faint_noise_and_no_pair_of_items_is_kept() -> None:
    products = shop()
    assert families_for(products, 2).count("wool") > 4
    with private(**FAINT):
        version = model_fit.fit("product", by="test")
        assert gate_of(version).taken
        assert step_names(version) == ["frozen", "head"]
        assert families_for(products, 2).count("glass") > 5
        learned = learned_by(version)
        assert set(learned.keys) == {str(product.pk) for product in products.values()}
        assert not any(learned.co_interacted(key) for key in learned.keys)
        key = learned.keys[0]
        assert len(also_bought("product", key, limit=5).results) == 5


def test_under_strong_noise_nothing_is_heard_of_the_rule() -> None:
    products = shop()
    with private(**STRONG):
        version = model_fit.fit("product", by="test")
        assert families_for(products, 2).count("glass") < 4
        assert bill_of(version).few_users


def test_what_most_take_is_known_through_noise() -> None:
    products = shop()
    liked = products[3, 3]
    Interaction.objects.bulk_create(
        Interaction(user_key=f"fan{n}", document="product", item_id=str(liked.pk), kind="purchase", at=at)
        for n, at in enumerate(Interaction.objects.values_list("at", flat=True)[:400])
    )
    with private(epsilon=20.0):
        learned = learned_by(model_fit.fit("product", by="test"))
    assert learned.popular[0][0] == str(liked.pk)


def test_few_events_leave_nothing_but_popularity() -> None:
    wares(lambda of, what: (f"{of} {what}", f"{of} ware"))
    with private(**FAINT):
        version = model_fit.fit("product", by="test")
        assert report_of(version).gate is None
        assert len(recommend("for-you", document="product", user_key="somebody", limit=8).results) == 8


def test_the_bill_grows_with_each_training_and_the_last_one_it_allows_stays() -> None:
    shop()
    with private(epsilon=1.0, total_epsilon=1.02):
        first = model_fit.fit("product", by="test")
        bill = bill_of(first)
        assert 0 < bill.epsilon <= 1.0
        assert bill.epsilon_of_all == bill.epsilon
        assert runs.why_due("product") == ""
        with pytest.raises(ConfigurationError, match=r"total_epsilon = 1\.02"):
            model_fit.fit("product", by="test")
        assert live_pair("product").model_version == first
    with private(epsilon=1.0):
        second = bill_of(model_fit.fit("product", by="test"))
    assert second.epsilon < second.epsilon_of_all < 2 * second.epsilon


def test_a_model_without_noise_gives_way_once_there_has_to_be_some() -> None:
    shop()
    model_fit.fit("product", by="test")
    assert runs.why_due("product") == ""
    with private(**FAINT):
        assert runs.why_due("product") == "the live model was learned without noise"
        model_fit.fit("product", by="test")
        assert runs.why_due("product") == ""
        privacy.erase_user("u3")
        assert report_of(live_pair("product").model_version).erased  # type: ignore[arg-type]
        assert (
            runs.why_due("product") == ""
        )  # it hardly depends on anybody, and learning anew would tell more


def test_what_cannot_be_learned_with_noise_is_refused() -> None:
    shop()
    with private(**FAINT):
        with pytest.raises(ConfigurationError, match="Tuning an encoder would store"):
            pipeline.tune("product", options=TrainingOptions(), by="test")
        with pytest.raises(ConfigurationError, match="Learning from a source would store"):
            transfer("product", "product", by="test")
    assert not ModelVersion.objects.exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"delta": 1e-5}, '"epsilon"\\] is missing; it must be a number above 0'),
        ({"epsilon": 1.0, "sigma": 2.0}, '"sigma".* is unknown. Known: epsilon, delta, total_epsilon'),
        ({"epsilon": 0}, "number above 0"),
        ({"epsilon": True}, "number above 0"),
        ({"epsilon": 1.0, "delta": 1.0}, "below 1"),
        ({"epsilon": 8.0, "total_epsilon": 4.0}, 'must not be above the "total_epsilon"'),
    ],
)
def test_a_setting_that_promises_nothing_is_an_error(given: dict[str, Any], words: str) -> None:
    with private(**given), pytest.raises(ConfigurationError, match=words):
        get_settings()


def test_the_command_and_the_page_of_the_version_show_the_bill(
    capsys: pytest.CaptureFixture[str], admin_client: Client
) -> None:
    shop()
    with private(**FAINT):
        call_command("llmrec", "train", "--document", "product")
        told = capsys.readouterr().out
        assert "Private: epsilon 1000 for this training, 1000 with all before it, at delta 1e-05." in told
        assert "With 260 users the noise may outweigh what they tell." in told
        version = ModelVersion.objects.get()
        page = admin_client.get(f"/admin/llmrec_plugin/modelversion/{version.pk}/change/").content.decode()
    assert "Each user is hidden by noise: epsilon 1000.0 in this training" in page
    assert private_learning.spent("product") > 0
