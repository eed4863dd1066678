"""The app in Django's admin, as an editor and as somebody without permission sees it."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import URLResolver, reverse

from llmrec_plugin.event_kinds import default_kind_weights
from llmrec_plugin.models import Configuration, Deployment, IndexVersion, Interaction, OutboxEntry
from llmrec_plugin.services import indexing, interactions
from llmrec_plugin.services.indexing import index_build
from llmrec_plugin.services.search import search
from llmrec_plugin.types import SearchRequest
from tests.hostapp.models import Product

pytestmark = pytest.mark.django_db

READ_ONLY = [
    "outboxentry",
    "indexbatch",
    "embedding",
    "lease",
    "interaction",
    "impression",
    "consent",
    "importeditem",
    "indexversion",
    "modelversion",
    "deployment",
]


@pytest.fixture
def shop() -> list[Product]:
    products = [Product.objects.create(title=title) for title in ("red kettle", "blue kettle", "green chair")]
    index_build.build("product")
    return products


def url(model: str, page: str = "changelist", *args: object) -> str:
    return reverse(f"admin:llmrec_plugin_{model}_{page}", args=args)


def form_data(configuration: Configuration) -> dict[str, object]:
    data: dict[str, object] = {
        field.name: getattr(configuration, field.name)
        for field in Configuration._meta.fields
        if field.editable and field.name not in ("id", "updated_at", "kind_weights", "signal_weights")
    }
    data |= {f"kind_weights_{kind}": weight for kind, weight in configuration.kind_weights.items()}
    return {name: value for name, value in data.items() if value is not False}


@pytest.mark.parametrize("model", READ_ONLY)
def test_results_can_be_read_but_not_added(editor: Client, shop: list[Product], model: str) -> None:
    search(SearchRequest(document="product", text="kettle"))
    interactions.record(user_key="7", document="product", item_id=str(shop[0].pk), kind="view")
    assert editor.get(url(model)).status_code == 200
    assert editor.get(url(model, "add")).status_code == 403


def test_every_row_of_a_result_has_a_page(editor: Client, shop: list[Product]) -> None:
    interactions.record(user_key="7", document="product", item_id=str(shop[0].pk), kind="view")
    version, event = IndexVersion.objects.get(), Interaction.objects.get()
    assert version.encoder_id in editor.get(url("indexversion", "change", version.pk)).text
    assert editor.get(url("interaction", "change", event.pk)).status_code == 200


def test_the_configuration_opens_directly_and_changes_the_next_search(
    editor: Client, shop: list[Product]
) -> None:
    response = editor.get(url("configuration"), follow=True)
    assert response.redirect_chain[0][0] == url("configuration", "change", 1)
    before = search(SearchRequest(document="product", text="kettle")).results[0]
    assert "vector" in before.contributions
    changed = form_data(Configuration.current()) | {"text_weight": 1.0}
    response = editor.post(url("configuration", "change", 1), changed, follow=True)
    assert "in effect from the next request on" in response.text
    after = search(SearchRequest(document="product", text="kettle")).results[0]
    assert after.contributions.get("vector", 0.0) == 0.0


def test_a_weight_out_of_range_is_refused_with_the_range(editor: Client) -> None:
    editor.get(url("configuration"))
    response = editor.post(
        url("configuration", "change", 1), form_data(Configuration.current()) | {"text_weight": 1.5}
    )
    assert "less than or equal to 1" in response.text
    assert Configuration.current().text_weight == 0.5


def test_each_kind_of_event_has_a_number_of_its_own(editor: Client) -> None:
    editor.get(url("configuration"))
    page = editor.get(url("configuration", "change", 1)).text
    assert re.search(
        r'Put in the basket<br>\s*<input type="number" name="kind_weights_cart" value="2.0"', page
    )
    data = form_data(Configuration.current()) | {"kind_weights_cart": 3.5}
    assert editor.post(url("configuration", "change", 1), data).status_code == 302
    assert Configuration.current().kind_weights == {**default_kind_weights(), "cart": 3.5}


@pytest.mark.parametrize("typed", ["", "much"])
def test_kind_weights_must_name_every_kind(editor: Client, typed: str) -> None:
    editor.get(url("configuration"))
    data = form_data(Configuration.current()) | {"kind_weights_view": typed}
    page = editor.post(url("configuration", "change", 1), data).text
    assert ("Enter a number." if typed else "Give a number for each of: view, click") in page
    assert Configuration.current().kind_weights == default_kind_weights()


def test_a_kind_weight_beyond_ten_is_refused(editor: Client) -> None:
    editor.get(url("configuration"))
    data = form_data(Configuration.current()) | {"kind_weights_view": 11}
    assert "must be a number from -10 to 10" in editor.post(url("configuration", "change", 1), data).text


def test_a_failed_entry_is_shown_with_its_error_and_can_be_tried_again(
    editor: Client, shop: list[Product], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.hostapp.search_documents import ProductDocument

    def broken(self: ProductDocument, product: Product) -> str:
        raise ValueError("no title today")

    monkeypatch.setattr(ProductDocument, "prepare_title", broken, raising=False)
    shop[0].save()
    indexing.drain()
    page = editor.get(url("outboxentry") + "?state=failed").text
    assert "no title today" in page
    monkeypatch.undo()
    entry = OutboxEntry.objects.get()
    response = editor.post(
        url("outboxentry"), {"action": "retry", "_selected_action": [entry.pk]}, follow=True
    )
    assert "1 entry is tried again" in response.text
    indexing.drain()
    assert not OutboxEntry.objects.exists()


def test_promotion_asks_first_and_records_who_did_it(editor: Client, shop: list[Product]) -> None:
    first = IndexVersion.objects.get()
    index_build.build("product", rebuild=True)
    assert "Make live" in editor.get(url("indexversion")).text
    page = editor.get(url("indexversion", "promote", first.pk))
    assert first.name in page.text
    assert Deployment.objects.first().index_version_id != first.pk  # type: ignore[union-attr]
    response = editor.post(url("indexversion", "promote", first.pk), follow=True)
    assert "is live from the next request on" in response.text
    deployment = Deployment.objects.first()
    assert deployment is not None
    assert deployment.index_version_id == first.pk
    assert deployment.by == "editor"


def test_promotion_needs_the_permission(client: Client, shop: list[Product]) -> None:
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_indexversion"))
    client.force_login(reader)
    version = IndexVersion.objects.get()
    assert client.get(url("indexversion")).status_code == 200
    assert client.post(url("indexversion", "promote", version.pk)).status_code == 403


def test_the_status_page_says_what_is_live_and_what_to_do_when_nothing_is(editor: Client) -> None:
    assert "llmrec build" in editor.get(url("status")).text
    Product.objects.create(title="red kettle")
    index_build.build("product")
    version = IndexVersion.objects.get()
    assert version.name in editor.get(url("status")).text


def test_the_admin_needs_staff(client: Client) -> None:
    client.force_login(User.objects.create_user("visitor"))
    assert client.get(url("status")).status_code == 302


def test_lists_need_a_bounded_number_of_queries(
    editor: Client, shop: list[Product], django_assert_max_num_queries: object
) -> None:
    for number in range(5):
        index_build.build("product", rebuild=True)
        assert number >= 0
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        editor.get(url("indexversion"))


def test_the_admin_speaks_chinese(editor: Client, shop: list[Product]) -> None:
    response = editor.get(url("status"), headers={"accept-language": "zh-hans"})
    assert "状态" in response.text


def test_an_index_version_shows_on_what_its_floor_was_measured(admin_client: Client) -> None:
    version = IndexVersion.objects.create(
        document="product",
        name="llmrec-product-1",
        encoder_name="e",
        encoder_id="e",
        dimensions=2,
        analysis_id="a",
        schema={"text_fields": [], "filters": {}},
        floor=0.5,
        floor_samples={"matches": [0.4, 0.6, 0.7, 0.9], "nonsense": [0.1, 0.2, 0.3, 0.55]},
    )
    url = reverse("admin:llmrec_plugin_indexversion_change", args=[version.pk])

    def page() -> str:
        return admin_client.get(url).content.decode()

    assert "75 % of the matches are kept, 75 % of the nonsense is left out." in page()
    told = re.findall(r"<g><title>([\d.]+)</title>", page())
    assert told == ["0.400", "0.600", "0.700", "0.900", "0.100", "0.200", "0.300", "0.550"]
    assert page().count("stroke-dasharray") == 1  # the floor
    IndexVersion.objects.update(floor=None)
    assert "nothing is left out" in page()
    assert "stroke-dasharray" not in page()
    IndexVersion.objects.update(floor_samples={})
    assert "It was not measured" in page()


def own_paths() -> list[str]:
    """Each address of the app in the admin, about a row that need not exist."""
    label = IndexVersion._meta.app_label
    patterns = [
        (str(model.pattern), str(view.pattern))
        for model in admin.site.get_urls()
        if isinstance(model, URLResolver) and str(model.pattern).startswith(f"{label}/")
        for view in model.url_patterns
    ]
    return [re.sub(r"<[^>]+>", "1", f"/admin/{prefix}{rest}") for prefix, rest in patterns]


@pytest.mark.parametrize("method", ["get", "post"])
def test_no_page_answers_who_may_not_see_it(client: Client, shop: list[Product], method: str) -> None:
    paths = own_paths()
    assert len(paths) > 100
    for is_staff in (False, True):
        client.force_login(User.objects.create_user(f"nobody-{is_staff}", is_staff=is_staff))
        for path in paths:
            response = getattr(client, method)(path)
            target = response.headers.get("Location", "")
            if not is_staff:
                assert target.startswith("/admin/login/"), path
            elif target != reverse("admin:index"):  # where Django leads who asks for a row that is not there
                status = client.get(target).status_code if target else response.status_code
                assert status in (403, 404, 405), path


def test_the_index_is_left_to_what_editors_come_for_and_the_status_page_leads_to_the_rest(
    editor: Client, client: Client
) -> None:
    index, status = editor.get(reverse("admin:index")).text, editor.get(url("status")).text
    for model in ("rule", "dashboard", "exploration", "outboxentry", "indexversion", "trainingrun"):
        assert url(model) in index
    for model in ("lease", "indexbatch", "embedding", "consent", "deployment", "driftreport"):
        assert url(model) not in index
        assert url(model) in status
        assert editor.get(url(model)).status_code == 200
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_lease"))
    client.force_login(reader)
    assert url("lease") in client.get(reverse("admin:index")).text


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("rule", "pins items to a place"),
        ("placement", "set by the developer: for-you, because-you-viewed, basket"),
        ("synonym", "a search for one of them finds the others"),
        ("experiment", "Add one, save it, then start it"),
        ("judgment", "as people judged it"),
    ],
)
def test_an_empty_list_says_what_its_rows_are_for(editor: Client, model: str, said: str) -> None:
    assert said in editor.get(url(model)).text
