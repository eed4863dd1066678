"""What users say of themselves: encoded before a request needs it, kept with consent only, and forgotten."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import override_settings

from llmrec_plugin import celery_tasks as tasks
from llmrec_plugin.models import UserChange, UserEmbedding
from llmrec_plugin.receivers import dispatch
from llmrec_plugin.services import interactions, privacy
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.privacy import derived_data
from llmrec_plugin.services.profiles import declared_interests, refresh
from llmrec_plugin.services.recommendations import recommend
from tests.hostapp.models import Learner
from tests.services.interactions.test_receivers import broker, messages, tasks_in
from tests.support import moody_encoder
from tests.support.moody_encoder import mood
from tests.support.responses import respond
from tests.support.serving import did, open_shop

pytestmark = pytest.mark.django_db


def learner(interests: str) -> Learner:
    return Learner.objects.create(user=User.objects.create(username=interests), interests=interests)


def key_of(learner: Learner) -> str:
    return str(learner.user_id)


def test_changes_of_one_user_are_one_piece_of_work() -> None:
    open_shop()
    gardener = learner("garden hose")
    for _ in range(5):
        gardener.save()
    assert UserChange.objects.count() == 6
    report = refresh.refresh()
    assert (report.users, report.encoded) == (1, 1)
    assert not UserChange.objects.exists()


def test_a_request_does_not_encode_what_was_refreshed() -> None:
    moody_encoder.reset()
    with override_settings(LLMREC={**settings.LLMREC, "ENCODER": "tests.support.moody_encoder"}):
        open_shop()
        gardener = learner("garden hose")
        refresh.refresh()
        mood.down = {moody_encoder.NAME}
        vector, degraded = declared_interests.vector_of(
            key_of(gardener), version=live_pair("product").index_version
        )
    assert vector is not None
    assert degraded == ()


def test_without_a_worker_the_first_request_encodes_the_new_text_and_keeps_it() -> None:
    open_shop()
    gardener = learner("garden hose")
    refresh.refresh()
    former = UserEmbedding.objects.get().fingerprint
    gardener.interests = "office chair"
    gardener.save()
    recommend("for-you", user_key=key_of(gardener), document="product")
    assert UserEmbedding.objects.get().fingerprint != former


def test_of_a_user_without_consent_nothing_is_kept() -> None:
    open_shop()
    gardener = learner("garden hose")
    refresh.refresh()
    privacy.set_consent(key_of(gardener), granted=False)
    assert not UserEmbedding.objects.exists()
    gardener.save()
    refresh.refresh()
    assert not UserEmbedding.objects.exists()


def test_erasure_and_export_cover_the_vector_and_the_cached_taste() -> None:
    products = open_shop()
    gardener = learner("garden hose")
    key = key_of(gardener)
    did(key, "purchase", [products["steel garden hose"]])
    derived_data.mark([key])
    refresh.refresh()
    version = live_pair("product").index_version
    taste = derived_data.taste_key(key, document="product", encoder_id=version.encoder_id)
    assert cache.get(taste)["keys"] == [str(products["steel garden hose"].pk)]
    assert len(privacy.export_user(key)["embeddings"][0]["vector"]) == version.dimensions
    privacy.erase_user(key)
    assert cache.get(taste) is None
    assert not UserEmbedding.objects.exists()


def test_a_deleted_user_document_takes_its_vector_along() -> None:
    open_shop()
    gardener = learner("garden hose")
    refresh.refresh()
    gardener.delete()
    refresh.refresh()
    assert not UserEmbedding.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_where_workers_run_events_send_one_task_for_many() -> None:
    products = open_shop()
    dispatch.pause.end()
    with tasks_in("celery"), broker("memory://"):
        messages()
        for product in products.values():
            interactions.record(user_key="7", document="product", item_id=product.pk, kind="view")
        respond()
        assert messages().count("llmrec_plugin.refresh_profiles") == 1
    assert set(UserChange.objects.values_list("user_key", flat=True)) == {"7"}
    assert refresh.refresh().users == 1


@pytest.mark.django_db(transaction=True)
def test_users_who_never_stop_do_not_keep_a_worker_for_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    products = open_shop()
    monkeypatch.setattr(tasks, "TURN_OF_USERS", 0.0)
    monkeypatch.setattr(refresh, "BATCH", 2)
    with tasks_in("celery"), broker("memory://"):
        for number in range(3):
            interactions.record(
                user_key=str(number),
                document="product",
                item_id=next(iter(products.values())).pk,
                kind="view",
            )
        messages()
        tasks.refresh_profiles()
        assert (UserChange.objects.count(), messages()) == (1, ["llmrec_plugin.refresh_profiles"])
        tasks.refresh_profiles()
        assert (UserChange.objects.count(), messages()) == (0, [])
