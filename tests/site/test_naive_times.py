"""A site with USE_TZ = False: its times have no zone, and are those of its TIME_ZONE."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from llmrec_plugin.documents import InteractionSource, registry
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import Interaction
from llmrec_plugin.services import interactions, privacy, recommendations
from llmrec_plugin.services.curation import configure
from llmrec_plugin.services.interactions import site_sources
from llmrec_plugin.services.privacy import retention
from tests.hostapp.models import Course, Order, OrderLine, Product
from tests.support.serving import did, open_shop

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def naive() -> Iterator[None]:
    """Eight hours ahead of UTC: what mixes the two up is far off."""
    with override_settings(USE_TZ=False, TIME_ZONE="Asia/Shanghai"):
        yield


@pytest.fixture
def shop() -> dict[str, Product]:
    return open_shop()


def test_events_of_browsers_are_stored_at_the_sites_time(shop: dict[str, Product]) -> None:
    client = APIClient()
    now = datetime.now(UTC).replace(microsecond=0)
    for number, at in enumerate([None, now.isoformat(), (now - DAY).isoformat().replace("+00:00", "Z")]):
        sent = {"document": "product", "item_id": shop["steel flower pot"].pk, "kind": "view", "at": at}
        answer = client.post("/api/interactions/", {**sent, "event_id": str(number)}, format="json").json()
        assert answer["stored"] == 1, answer
    here = timezone.now()
    assert here.tzinfo is None
    told = list(Interaction.objects.order_by("id").values_list("at", flat=True))
    for stored, wanted in zip(told, [here, here, here - DAY], strict=True):
        assert abs(stored - wanted) < timedelta(minutes=1)
    assert client.get("/api/me/export/").json()["interactions"][0]["at"]


def test_orders_are_events_at_their_time(shop: dict[str, Product]) -> None:
    (source,) = registry.interaction_sources
    order = Order.objects.create(customer=User.objects.create(username="ann"), created=timezone.now() - DAY)
    OrderLine.objects.create(order=order, product=shop["steel flower pot"])
    assert site_sources.drain().added == 1
    assert Interaction.objects.get().at == order.created
    assert interactions.reconcile(source).differences == 0


def test_python_and_files_may_say_times_with_and_without_a_zone(
    shop: dict[str, Product], tmp_path: Path
) -> None:
    item = str(shop["steel flower pot"].pk)
    for at in (datetime(2026, 5, 1, 4, tzinfo=UTC), datetime(2026, 5, 1, 12)):  # noqa: DTZ001
        interactions.record(user_key="7", document="product", item_id=item, kind="view", at=at)
    file = tmp_path / "events.jsonl"
    file.write_text(
        f'{{"user": "7", "item": "{item}", "kind": "view", "time": "2026-05-01T04:00:00Z"}}\n'
        f'{{"user": "7", "item": "{item}", "kind": "view", "time": "2026-05-01T12:00:00"}}\n'
    )
    call_command("llmrec", "import", "interactions", str(file), "--document", "product", stdout=StringIO())
    assert set(Interaction.objects.values_list("at", flat=True)) == {datetime(2026, 5, 1, 12)}  # noqa: DTZ001
    with pytest.raises(InvalidRequest):
        interactions.record(
            user_key="7", document="product", item_id=item, kind="view", at=timezone.now() + 3 * DAY
        )


def test_a_date_is_its_midnight_here() -> None:
    class Starts(InteractionSource[Course]):
        model = Course
        document = "course"
        user_field = "level"
        item_field = "pk"
        time_field = "starts"

    event = Starts().event(Course(title="Intro", starts=date(2026, 5, 1)))
    assert event is not None
    assert event.at == datetime(2026, 5, 1)  # noqa: DTZ001


def test_lists_training_and_retention_work(shop: dict[str, Product]) -> None:
    for user in range(12):
        did(f"g{user}", "purchase", [shop["steel garden hose"], shop["steel lawn mower"]])
        did(f"d{user}", "view", [shop["steel desk lamp"], shop["steel office chair"]])
    did("old", "view", [shop["steel desk lamp"]], at=timezone.now() - 800 * DAY)
    call_command("llmrec", "train", "--document", "product", stdout=StringIO())
    for placement in ("trending", "popular", "for-you", "latest"):
        assert recommendations.recommend(placement, document="product", user_key="g0").results
    trend = recommendations.recommend("trending", document="product")
    assert any("times this week" in reason for item in trend.results for reason in item.reasons)
    report = retention.apply_retention()
    assert report.interactions == 1
    assert privacy.export_user("g0")["interactions"]
    privacy.erase_user("g0")


def test_commands_work(shop: dict[str, Product]) -> None:
    did("7", "view", [shop["steel desk lamp"]])
    call_command("llmrec", "build", stdout=StringIO())
    for command in ("drain", "audit", "count-queries", "suggest-synonyms", "status"):
        call_command("llmrec", command, stdout=StringIO())


def test_status_dashboard_and_explorer_are_shown(
    shop: dict[str, Product], admin_client: Client, client: Client
) -> None:
    did("7", "view", [shop["steel desk lamp"], shop["steel flower pot"]], at=timezone.now() - 2 * DAY)
    client.get("/api/search/", {"document": "product", "q": "lamp"})
    client.get("/api/recommendations/for-you/", {"document": "product"})
    configure(by="editor", freshness_weight=0.25)
    call_command("llmrec", "train", "--document", "product", stdout=StringIO())
    explorer, document = "admin:llmrec_plugin_exploration_changelist", {"document": "product"}
    pages: list[tuple[str, dict[str, Any]]] = [
        ("admin:llmrec_plugin_dashboard_changelist", {}),
        ("admin:llmrec_plugin_dashboard_changelist", {**document, "days": "7"}),
        ("admin:llmrec_plugin_status_changelist", {}),
        (explorer, {**document, "list": "search", "q": "lamp", "user": "7"}),
        (explorer, {**document, "list": "for-you", "user": "7"}),
    ]
    for name, asked in pages:
        assert admin_client.get(reverse(name), asked).status_code == 200, name
    models = [model for model in admin.site._registry if model._meta.app_label == "llmrec_plugin"]
    for model in models:
        name = f"admin:llmrec_plugin_{model._meta.model_name}"
        assert admin_client.get(reverse(f"{name}_changelist"), follow=True).status_code == 200, name
        row = model._default_manager.first()
        if row is not None:
            change = reverse(f"{name}_change", args=[quote(row.pk)])
            assert admin_client.get(change, follow=True).status_code == 200, change
