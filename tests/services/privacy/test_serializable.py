"""Consent, erasure and login where the database cannot order transactions, or fails in the middle of one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db import OperationalError, connection, connections, transaction
from django.test import RequestFactory

from llmrec_plugin.models import Consent, Interaction
from llmrec_plugin.services import interactions, privacy
from llmrec_plugin.visitors import ensure_user_key


def recorded(user_key: str) -> None:
    interactions.record(user_key=user_key, document="product", item_id="1", kind="view")


def login(*, fails: bool) -> tuple[User, str]:
    request = RequestFactory().get("/")
    key = ensure_user_key(request)
    assert key is not None
    recorded(key)
    user = User.objects.create_user("ada")

    def refuse(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and "llmrec_plugin_interaction" in sql:
            raise OperationalError("could not serialize access")
        return execute(sql, params, many, context)

    if fails:
        with connection.execute_wrapper(refuse):
            user_logged_in.send(sender=User, request=request, user=user)
    else:
        user_logged_in.send(sender=User, request=request, user=user)
    return user, key


@pytest.mark.django_db(transaction=True)
def test_a_login_does_not_fail_for_what_the_visitor_left() -> None:
    _user, key = login(fails=True)
    assert Interaction.objects.filter(user_key=key).exists()


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_of_the_sites_own_it_is_merged_once_that_has_ended() -> None:
    with transaction.atomic():
        user, key = login(fails=True)
        assert Interaction.objects.filter(user_key=key).exists()
    assert Interaction.objects.filter(user_key=str(user.pk)).exists()
    assert not Interaction.objects.filter(user_key=key).exists()


@pytest.mark.django_db(transaction=True)
def test_many_at_once_are_repeated_under_serializable() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL, which orders transactions or ends them")
    for number in range(40):
        recorded(f"user {number % 4}")

    def work(number: int) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            for turn in range(8):
                key = f"user {(number + turn) % 4}"
                privacy.set_consent(key, granted=turn % 2 == 0)
                if turn % 3 == 2:
                    privacy.erase_user(key)
                    privacy.set_consent(key, granted=True)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert Consent.objects.count() == 4
