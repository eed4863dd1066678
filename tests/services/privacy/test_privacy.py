"""Consent, export, erasure and retention of what is kept about people."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from llmrec_plugin.documents import UserDocument
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import Consent, Impression, Interaction, ModelArtefact, ModelVersion, UserChange
from llmrec_plugin.services import interactions, privacy
from llmrec_plugin.services.model_registry.training_report import TrainingReport, report_of
from llmrec_plugin.services.privacy import consent, erasure, retention
from llmrec_plugin.services.profiles.refresh import refresh
from tests.hostapp.models import Product
from tests.support.indexed import declared
from tests.support.serving import did, stock

pytestmark = pytest.mark.django_db


def impression(user_key: str = "7", *, age: timedelta = timedelta(0), **values: Any) -> Impression:
    defaults: dict[str, Any] = {
        "document": "product",
        "placement": "search",
        "query": "lamp",
        "ranking": [["1", {"text": 1.0}], ["2", {"text": 0.5}], ["3", {"text": 0.2}]],
        "extra": {"reasons": {}, "facets": {}},
        "shown": 2,
    }
    row = Impression.objects.create(user_key=user_key, **defaults | values)
    Impression.objects.filter(pk=row.pk).update(at=timezone.now() - age)
    return row


def model_version(document: str = "product") -> ModelVersion:
    artefact, _ = ModelArtefact.objects.get_or_create(sha256="0" * 64, defaults={"content": b""})
    return ModelVersion.objects.create(
        document=document, artefact=artefact, report=TrainingReport(events=9).to_json()
    )


def test_an_export_holds_every_row_about_the_user_and_is_json() -> None:
    first, second, *_ = stock().values()
    did("7", "view", [first, second])
    did("8", "view", [first])
    impression("7")
    impression("8")
    privacy.set_consent("7", granted=True)
    exported = json.loads(json.dumps(privacy.export_user("7")))
    assert exported["user_key"] == "7"
    assert exported["consent"]["granted"] is True
    assert [row["item_id"] for row in exported["interactions"]] == [str(first.pk), str(second.pk)]
    assert [row["query"] for row in exported["impressions"]] == ["lamp"]


@pytest.mark.parametrize("key", ["", "7" * 101, "a\x00b"])
def test_what_is_no_key_names_nobody_whose_rows_could_be_read_or_erased(key: str) -> None:
    impression("")
    with pytest.raises(InvalidRequest, match="user key"):
        privacy.export_user(key)
    with pytest.raises(InvalidRequest, match="user key"):
        privacy.erase_user(key)
    assert Impression.objects.count() == 1


def test_the_export_of_a_stranger_is_empty() -> None:
    assert privacy.export_user("nobody") == {
        "user_key": "nobody",
        "consent": None,
        "interactions": [],
        "impressions": [],
        "arm_assignments": [],
        "embeddings": [],
    }


def test_erasure_leaves_no_row_and_marks_the_models_that_knew_the_user() -> None:
    early = model_version()
    did("7", "view", stock().values())
    did("8", "view", stock().values())
    impression("7")
    privacy.set_consent("7", granted=False)
    trained, other = model_version(), model_version("course")
    report = privacy.erase_user("7")
    assert (report.interactions, report.impressions, report.consent) == (30, 1, True)
    assert report.model_versions == (trained.pk,)
    for model in (Interaction, Impression, Consent):
        assert not model._default_manager.filter(user_key="7").exists()
    assert Interaction.objects.filter(user_key="8").count() == 30
    trained.refresh_from_db()
    assert (report_of(trained).events, report_of(trained).erased) == (9, 1)
    for untouched in (early, other):
        untouched.refresh_from_db()
        assert "erased" not in untouched.report


def test_erasure_does_not_remember_a_refusal() -> None:
    privacy.set_consent("7", granted=False)
    privacy.erase_user("7")
    assert privacy.consent_of("7") is None
    assert interactions.record(user_key="7", document="product", item_id=1, kind="view")


def test_logs_name_nobody(caplog: pytest.LogCaptureFixture) -> None:
    user = "somebody@example.org"
    with caplog.at_level(logging.DEBUG, logger="llmrec_plugin"):
        did(user, "view", stock().values())
        impression(user, query="private matter")
        privacy.set_consent(user, granted=True)
        privacy.erase_user(user)
        retention.apply_retention()
    assert caplog.records
    assert user not in caplog.text
    assert "private" not in caplog.text


def test_retention_deletes_what_is_too_old() -> None:
    old = timezone.now() - timedelta(days=800)
    did("7", "view", list(stock().values())[:3], at=old)
    did("7", "view", list(stock().values())[:2])
    impression(age=timedelta(days=800))
    impression()
    report = retention.apply_retention()
    assert (report.interactions, report.impressions, report.pages_stripped) == (3, 1, 0)
    assert (Interaction.objects.count(), Impression.objects.count()) == (2, 1)


def test_an_expired_list_keeps_only_what_was_shown() -> None:
    row = impression(age=timedelta(hours=1))
    fresh = impression()
    assert retention.apply_retention().pages_stripped == 1
    assert retention.apply_retention().pages_stripped == 0
    row.refresh_from_db()
    fresh.refresh_from_db()
    assert row.ranking is not None
    assert [key for key, _ in row.ranking] == ["1", "2"]
    assert row.extra == {}
    assert fresh.ranking is not None
    assert len(fresh.ranking) == 3


def test_more_expired_lists_than_one_batch_are_all_stripped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "STRIP_BATCH", 2)
    for _ in range(5):
        impression(age=timedelta(hours=1))
    assert retention.apply_retention().pages_stripped == 5


def test_a_list_that_was_kept_for_its_pages_only_goes_with_them() -> None:
    impression("", age=timedelta(hours=1), query="", extra={"transient": True})
    impression("", query="", extra={"transient": True})
    assert retention.apply_retention().impressions == 1
    assert Impression.objects.count() == 1


@pytest.mark.parametrize(("mode", "users"), [("opt-out", {"7", "9"}), ("opt-in", {"7"}), ("off", set())])
def test_only_consented_events_may_be_learned_from(mode: str, users: set[str]) -> None:
    product = next(iter(stock().values()))
    for user in ("7", "8", "9"):
        did(user, "view", [product])
    privacy.set_consent("7", granted=True)
    privacy.set_consent("8", granted=False)
    with override_settings(LLMREC={**settings.LLMREC, "CONSENT": mode}):
        rows = consent.consented(Interaction.objects.all())
        assert set(rows.values_list("user_key", flat=True)) == users
        assert consent.consenting(["7", "8", "9"]) == users


@pytest.mark.django_db(transaction=True)
class TestDeletedAccounts:
    """Nothing is kept of whose account is gone, and a deletion knows nothing of it."""

    @pytest.fixture
    def user(self) -> User:
        user = User.objects.create(username="ann")
        lamp = Product.objects.create(title="Lamp")
        for key in (str(user.pk), "another"):
            interactions.record(user_key=key, document="product", item_id=lamp.pk, kind="view")
            Impression.objects.create(user_key=key, document="product", placement="search", query="lamp")
            privacy.set_consent(key, granted=True)
        UserChange.objects.all().delete()
        return user

    @staticmethod
    def kept() -> set[str]:
        return {
            key
            for model in (Interaction, Impression, Consent)
            for key in model.objects.values_list("user_key", flat=True)
        }

    @pytest.mark.parametrize("place", ["process", "off"])
    def test_it_is_erased_with_the_next_work_that_is_done(self, user: User, place: str) -> None:
        key = str(user.pk)
        with override_settings(LLMREC={**settings.LLMREC, "TASKS": place}):
            with transaction.atomic():
                user.delete()
                assert self.kept() == {key, "another"}
            call_command("llmrec", "drain", stdout=StringIO())
        assert self.kept() == {"another"}
        assert not UserChange.objects.filter(erase=True).exists()

    def test_a_deletion_costs_one_statement(self, user: User) -> None:
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            user.delete()
        ours = [query["sql"] for query in queries if '"llmrec_plugin_' in query["sql"]]
        savepoint = 'SAVEPOINT "llmrec_guarded"; '  # in the same message, where the database takes two
        statements = [sql.removeprefix(savepoint).split(" (")[0] for sql in ours]
        assert statements == ['INSERT INTO "llmrec_plugin_userchange"']

    def test_the_schedule_and_retention_do_it_too(self, user: User) -> None:
        user.delete()
        UserChange.objects.update(at=timezone.now() - timedelta(days=3))
        retention.apply_retention()
        assert self.kept() == {"another"}
        User.objects.create(pk=77, username="ben").delete()
        interactions.record(user_key="77", document="product", item_id="1", kind="view")
        refresh()
        assert self.kept() == {"another"}

    def test_what_is_rolled_back_is_not_erased(self, user: User) -> None:
        key = str(user.pk)
        with transaction.atomic():
            user.delete()
            transaction.set_rollback(True)
        erasure.erase_marked()
        assert self.kept() == {key, "another"}

    def test_a_site_may_keep_them(self, user: User) -> None:
        key = str(user.pk)
        with override_settings(LLMREC={**settings.LLMREC, "ERASE_DELETED_ACCOUNTS": False}):
            user.delete()
        erasure.erase_marked()
        assert self.kept() == {key, "another"}

    def test_a_refusal_meanwhile_does_not_take_the_mark_away(self, user: User) -> None:
        key = str(user.pk)
        user.delete()
        privacy.set_consent(key, granted=False)
        erasure.erase_marked()
        assert self.kept() == {"another"}

    def test_a_site_with_keys_of_its_own_has_them_erased_by_its_user_document(self) -> None:
        class Person(UserDocument[User]):
            model = User
            text_fields = ["first_name"]

            def get_user_key(self, obj: User) -> str:
                return f"customer:{obj.username}"

        with declared(Person):
            user = User.objects.create(username="ann")
            interactions.record(user_key="customer:ann", document="product", item_id="1", kind="view")
            user.delete()
            erasure.erase_marked()
        assert self.kept() == set()

    def test_a_table_that_is_not_there_fails_no_deletion(
        self, user: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        with connection.schema_editor() as editor:
            editor.delete_model(UserChange)
        try:
            with transaction.atomic():
                user.delete()
        finally:
            with connection.schema_editor() as editor:
                editor.create_model(UserChange)
        assert not User.objects.exists()
        assert "a deleted account is not erased" in caplog.text
