"""Events come in once, with consent only, and go out as histories."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import override_settings
from django.utils import timezone, translation
from pytest_django import DjangoAssertNumQueries

from llmrec_plugin.event_kinds import kind_names
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import Consent, Impression, Interaction, UserChange
from llmrec_plugin.services import interactions, privacy
from llmrec_plugin.services.interactions import NewInteraction, history, recording
from llmrec_plugin.services.privacy import consent, derived_data
from tests.hostapp.models import Order, OrderLine, Product
from tests.support.serving import did, stock

pytestmark = pytest.mark.django_db


def event(**changes: object) -> NewInteraction:
    values = {"user_key": "7", "document": "product", "item_id": "1", "kind": "view"} | changes
    return NewInteraction(**values)  # type: ignore[arg-type]


def orders(*products: Product, user: User) -> list[OrderLine]:
    order = Order.objects.create(customer=user, created=timezone.now() - timedelta(days=3))
    return [OrderLine.objects.create(order=order, product=product) for product in products]


def test_an_event_is_stored_as_it_was_told() -> None:
    at = timezone.now() - timedelta(days=1)
    request_id = uuid.uuid4()
    stored = interactions.record(
        user_key="7",
        document="product",
        item_id=12,
        kind="rating",
        value=4,
        at=at,
        request_id=str(request_id),
        position=3,
        event_id="e1",
    )
    assert stored
    row = Interaction.objects.get()
    assert (row.user_key, row.document, row.item_id, row.kind) == ("7", "product", "12", "rating")
    assert (row.value, row.at, row.request_id, row.position) == (4.0, at, request_id, 3)


def test_a_second_event_with_the_same_id_is_a_duplicate() -> None:
    assert interactions.record(user_key="7", document="product", item_id=1, kind="view", event_id="e1")
    assert not interactions.record(user_key="7", document="product", item_id=2, kind="view", event_id="e1")
    assert Interaction.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"document": "productz"}, "document"),
        ({"kind": "look"}, "kind"),
        ({"value": float("nan")}, "value"),
        ({"value": "much"}, "value"),
        ({"value": True}, "value"),
        ({"at": timezone.now() + timedelta(days=2)}, "at"),
        ({"at": timezone.now().replace(tzinfo=None)}, "at"),
        ({"user_key": ""}, "user_key"),
        ({"user_key": "x" * 101}, "user_key"),
        ({"item_id": ""}, "item_id"),
        ({"item_id": "x" * 256}, "item_id"),
        ({"item_id": "a\0b"}, "item_id"),
        ({"user_key": "a\ud800"}, "user_key"),
        ({"event_id": "\0"}, "event_id"),
        ({"request_id": "not a uuid"}, "request_id"),
        ({"position": -1}, "position"),
        ({"event_id": "x" * 101}, "event_id"),
    ],
)
def test_an_event_that_makes_no_sense_names_what_is_wrong(changes: dict[str, object], parameter: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        recording.validate(event(**changes))
    assert caught.value.parameter == parameter


def test_a_clock_that_runs_ahead_a_little_counts_as_now() -> None:
    before = timezone.now()
    interactions.record(
        user_key="7", document="product", item_id=1, kind="view", at=before + timedelta(hours=5)
    )
    assert before <= Interaction.objects.get().at <= timezone.now()


def test_many_events_cost_as_many_queries_as_few(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    products = list(stock().values())
    events = [
        event(item_id=str(product.pk), event_id=f"e{n}", user_key=str(n % 3))
        for n, product in enumerate(products)
    ]
    # consent, existing items, known ids, insert
    with django_assert_num_queries(4):
        report = interactions.record_many(events, check=True)
    assert (report.stored, report.duplicates, report.refused) == (len(products), 0, 0)


def test_one_bad_event_does_not_stop_the_others() -> None:
    product = next(iter(stock().values()))
    good = event(item_id=str(product.pk), event_id="a")
    report = interactions.record_many(
        [good, event(kind="look"), event(item_id="999999"), event(item_id="no number"), good], check=True
    )
    assert (report.stored, report.duplicates, report.refused) == (1, 1, 3)
    assert list(report.reasons) == [1, 2, 3]
    assert "999999" in report.reasons[2]


def test_items_that_the_document_hides_are_unknown() -> None:
    draft = Product.objects.create(title="secret", is_draft=True)
    report = interactions.record_many([event(item_id=str(draft.pk))], check=True)
    assert (report.stored, report.refused) == (0, 1)


def test_nothing_is_stored_of_one_who_refused() -> None:
    privacy.set_consent("7", granted=False)
    assert not interactions.record(user_key="7", document="product", item_id=1, kind="view")
    report = interactions.record_many([event(), event(user_key="8")])
    assert (report.stored, report.refused) == (1, 1)
    assert not Interaction.objects.filter(user_key="7").exists()


def test_nothing_is_stored_when_the_plugin_is_off() -> None:
    with override_settings(LLMREC={**settings.LLMREC, "ENABLED": False}):
        assert not interactions.record(user_key="7", document="product", item_id=1, kind="view")
        assert interactions.record_many([event(), event()]).refused == 2
    assert not Interaction.objects.exists()


def test_history_is_newest_first_and_of_one_document(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    first, second, third, *_ = stock().values()
    did("7", "view", [first, second, third])
    did("8", "view", [first])
    did("7", "view", [first], document="course")
    with django_assert_num_queries(1):
        events = history.latest_events("7", document="product", limit=2)
    assert [found.key for found in events] == [str(third.pk), str(second.pk)]


def test_taken_are_the_items_of_those_kinds_only() -> None:
    first, second, third, *_ = stock().values()
    did("7", "purchase", [first, first])
    did("7", "view", [second])
    did("7", "dismiss", [third])
    taken = history.taken_keys("7", document="product", kinds=["purchase", "dismiss"])
    assert taken == {str(first.pk), str(third.pk)}


def test_a_visitors_events_become_the_users_at_login() -> None:
    first, second, *_ = stock().values()
    did("anon:a", "view", [first, second])
    Impression.objects.create(user_key="anon:a", document="product", placement="search")
    privacy.set_consent("anon:a", granted=True)
    assert interactions.merge("anon:a", "7") == 2
    assert not Interaction.objects.filter(user_key="anon:a").exists()
    assert Impression.objects.get().user_key == "7"
    assert privacy.consent_of("7") is True
    assert privacy.consent_of("anon:a") is None


def test_the_users_own_choice_stands_over_the_visitors() -> None:
    privacy.set_consent("anon:a", granted=False)
    privacy.set_consent("7", granted=True)
    interactions.merge("anon:a", "7")
    assert privacy.consent_of("7") is True


def test_what_a_visitor_left_is_not_tied_to_a_user_who_refused() -> None:
    did("anon:a", "view", stock().values())
    privacy.set_consent("7", granted=False)
    derived_data.mark(["anon:a"])
    assert interactions.merge("anon:a", "7") == 0
    assert not Interaction.objects.exists()
    assert not UserChange.objects.filter(user_key="anon:a").exists()


@pytest.mark.parametrize(("anonymous", "user"), [("8", "7"), ("anon:a", "anon:b"), ("anon:a", "")])
def test_only_a_visitor_can_be_merged_into_a_user(anonymous: str, user: str) -> None:
    with pytest.raises(InvalidRequest):
        interactions.merge(anonymous, user)


def test_without_a_choice_the_setting_decides() -> None:
    assert consent.may_personalise("7")
    with override_settings(LLMREC={**settings.LLMREC, "CONSENT": "opt-in"}):
        assert not consent.may_personalise("7")
        Consent.objects.create(user_key="7", granted=True)
        assert consent.may_personalise("7")
    with override_settings(LLMREC={**settings.LLMREC, "CONSENT": "off"}):
        assert not consent.may_personalise("7")
    assert not consent.may_personalise(None)


def test_kinds_are_named_in_the_readers_language() -> None:
    assert interactions.kind_labels()["cart"] == "put in the basket"
    with translation.override("zh-hans"):
        assert set(interactions.kind_labels()) == set(kind_names())
        assert interactions.kind_labels()["cart"] != "put in the basket"


def test_what_is_taken_out_of_the_basket_is_evidence_no_more() -> None:
    lamp, mug, *_others = stock().values()
    did("7", "cart", [lamp, mug, lamp])
    did("7", "view", [lamp])
    did("8", "cart", [lamp])
    gone = interactions.withdraw(user_key="7", document="product", item_id=lamp.pk, kind="cart")
    assert gone == 2
    left = Interaction.objects.filter(user_key="7").values_list("kind", "item_id")
    assert sorted(left) == [("cart", str(mug.pk)), ("view", str(lamp.pk))]
    assert Interaction.objects.filter(user_key="8").exists()
    with pytest.raises(InvalidRequest):
        interactions.withdraw(user_key="7", document="product", item_id=lamp.pk, kind="card")
