"""Declarations: what a site may write, and what its items become."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import InteractionSource, SearchDocument, UserDocument, register, registry
from llmrec_plugin.documents.paths import as_scalar
from llmrec_plugin.encoders.base import EncoderSpec
from llmrec_plugin.exceptions import DocumentError, NotFound
from llmrec_plugin.models import ImportedItem
from llmrec_plugin.types import PreparedItem
from tests.hostapp.models import Brand, Category, Course, Learner, Order, OrderLine, Product
from tests.support.indexed import declared

pytestmark = pytest.mark.django_db


@pytest.fixture
def mug() -> Product:
    product = Product.objects.create(
        title="Mug &amp; <b>saucer</b>",
        description="<p>White.</p><script>alert(1)</script><p>Dishwasher safe.</p>",
        brand=Brand.objects.create(name="Acme"),
        price=Decimal("9.50"),
    )
    product.categories.set([Category.objects.create(name=name) for name in ("Kitchen", "Gifts")])
    return product


def prepared(label: str, obj: Any) -> PreparedItem:
    document = registry.get(label).prepare(obj)
    assert document is not None
    return document


def test_a_label_is_the_models_name_unless_one_is_given() -> None:
    class Named(SearchDocument[Group]):
        model = Group
        label = "team"

    class Unnamed(SearchDocument[Group]):
        model = Group

    assert (Named().label, Unnamed().label) == ("team", "group")


def test_a_declaration_without_a_model_is_refused_at_once() -> None:
    class Homeless(SearchDocument[Any]):
        text_fields = ["name"]

    with pytest.raises(DocumentError, match=r"Homeless\.model must name a model"):
        register(Homeless)


def test_only_declarations_can_be_registered() -> None:
    class Stranger:
        model = Group

    with pytest.raises(DocumentError, match="must inherit from SearchDocument"):
        register(Stranger)  # type: ignore[type-var]


def test_registering_twice_makes_one_document() -> None:
    class Team(SearchDocument[Group]):
        model = Group
        text_fields = ["name"]

    with declared(Team, Team):
        assert len(registry.for_model(Group)) == 1


def test_an_unknown_label_names_the_nearest_and_all_others() -> None:
    with pytest.raises(
        NotFound, match=r'no document "products". Did you mean "product"\? Known: course, product'
    ):
        registry.get("products")


def test_models_of_third_parties_and_several_documents_per_model_can_be_declared() -> None:
    class Team(SearchDocument[Group]):
        model = Group
        text_fields = ["name"]

    class Roster(SearchDocument[Group]):
        model = Group
        label = "roster"
        text_fields = ["name", "user__username"]

    with declared(Team, Roster):
        group = Group.objects.create(name="Staff")
        for name in ("zoe", "ada"):
            group.user_set.add(User.objects.create(username=name))
        assert [document.label for document in registry.for_model(Group)] == ["group", "roster"]
        assert prepared("group", group).text == {"name": "Staff"}
        # both by lookup ("user") and in alphabetical order, since the database promises none
        assert prepared("roster", group).text == {"name": "Staff", "user__username": "ada, zoe"}


def test_markup_is_removed_and_paths_are_followed(mug: Product) -> None:
    document = prepared("product", mug)
    assert document.title == "Mug & saucer"
    assert "alert" not in document.text["description"]
    assert "Dishwasher safe." in document.text["description"]
    assert document.text["brand__name"] == "Acme"
    assert document.passage.startswith("Mug & saucer\n")


def test_filters_take_keys_numbers_and_several_values(mug: Product) -> None:
    assert prepared("product", mug).filters == {
        "brand": str(mug.brand_id),
        "category": ("Gifts", "Kitchen"),
        "price": 9.5,
        "in_stock": True,
    }


def test_missing_relations_leave_text_and_filters_empty() -> None:
    document = prepared("product", Product.objects.create(title="Lone"))
    assert document.text["brand__name"] == ""
    assert document.filters["brand"] is None
    assert document.filters["category"] == ()


def test_kinds_are_inferred_from_the_model() -> None:
    assert registry.get("product").filter_kinds() == {
        "brand": "keyword",
        "category": "keyword",
        "price": "number",
        "in_stock": "boolean",
    }
    assert registry.get("course").filter_kinds()["starts"] == "date"


def test_methods_properties_and_prepare_methods_are_fields_too() -> None:
    class Team(SearchDocument[Group]):
        model = Group
        text_fields = {"__str__": 2, "slogan": 1}
        filter_fields = ["size", "natural_key"]
        kinds = {"size": "number", "natural_key": "keyword"}

        def prepare_slogan(self, group: Group) -> str:
            return f"{group.name} <i>wins</i>"

        def prepare_size(self, group: Group) -> int:
            return group.user_set.count()

    with declared(Team):
        document = prepared("group", Group.objects.create(name="Reds"))
        assert document.text == {"__str__": "Reds", "slogan": "Reds wins"}
        assert document.filters == {"size": 0.0, "natural_key": "Reds"}


def test_a_filter_whose_kind_nobody_knows_says_how_to_name_it() -> None:
    class Team(SearchDocument[Group]):
        model = Group
        text_fields = ["name"]
        filter_fields = ["natural_key"]

    with declared(Team), pytest.raises(DocumentError, match=r'kinds = \{"natural_key": "keyword"\}'):
        registry.get("group").filter_kinds()


def test_an_unknown_path_names_the_nearest_field() -> None:
    class Typo(SearchDocument[Product]):
        model = Product
        label = "typo"
        text_fields = ["title", "brand__nme"]

    with (
        declared(Typo),
        pytest.raises(
            DocumentError, match=r'Brand has no .* "nme" \(in "brand__nme"\)\. Did you mean "name"\?'
        ),
    ):
        registry.get("typo").get_queryset()


def test_a_value_that_is_not_of_its_kind_names_the_field() -> None:
    class Odd(SearchDocument[Product]):
        model = Product
        label = "odd"
        text_fields = ["title"]
        filter_fields = ["title"]
        kinds = {"title": "number"}

    with declared(Odd), pytest.raises(DocumentError, match='Filter field "title" of odd is no number'):
        registry.get("odd").prepare(Product(title="many"))


@pytest.mark.parametrize(
    ("value", "kind", "scalar"),
    [
        (uuid.UUID(int=1), "keyword", "00000000-0000-0000-0000-000000000001"),
        ("", "keyword", None),
        (Decimal("1.5"), "number", 1.5),
        (True, "number", 1.0),
        (timedelta(minutes=2), "number", 120.0),
        (float("nan"), "number", None),
        (float("inf"), "number", None),
        (0, "boolean", False),
        (date(1970, 1, 2), "date", 86_400.0),  # one day after the epoch, in UTC everywhere
        (datetime(1970, 1, 1, 1, tzinfo=UTC), "date", 3_600.0),
    ],
)
def test_values_become_what_engines_compare(value: Any, kind: Any, scalar: Any) -> None:
    assert as_scalar(value, kind) == scalar


@pytest.mark.parametrize(("value", "kind"), [([], "number"), ("many", "number"), ("today", "date")])
def test_values_of_another_kind_are_refused(value: Any, kind: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        as_scalar(value, kind)


def test_naive_times_are_of_the_sites_zone() -> None:
    assert as_scalar(datetime(1970, 1, 1, 1), "date") == 3_600.0  # noqa: DTZ001


def test_keys_of_json_values_are_reached() -> None:
    class Imported(SearchDocument[ImportedItem]):
        model = ImportedItem
        text_fields = ["text__title", "text__tags"]

    item = ImportedItem(id="a", document="x", text={"title": "Lamp", "tags": ["desk", None, "brass"]})
    with declared(Imported):
        assert prepared("importeditem", item).text == {"text__title": "Lamp", "text__tags": "desk brass"}
        assert registry.get("importeditem").get_title(item) == "Lamp"
        assert prepared("importeditem", ImportedItem(id="b", text={})).text["text__title"] == ""


def test_an_empty_reverse_one_to_one_is_no_text() -> None:
    class Person(SearchDocument[User]):
        model = User
        text_fields = ["username", "learner__interests"]

    with declared(Person):
        user = User.objects.create(username="ada")
        assert prepared("user", user).text["learner__interests"] == ""
        Learner.objects.create(user=user, interests="looms")
        assert prepared("user", User.objects.get()).text["learner__interests"] == "looms"


def test_an_encoder_of_ones_own_does_not_take_the_sites_options() -> None:
    class Own(SearchDocument[Group]):
        model = Group
        encoder = "some/model"
        encoder_options = {"max_length": 96}

    class Added(SearchDocument[Group]):
        model = Group
        encoder_options = {"batch_size": 8}

    settings = get_settings()
    assert Own().encoder_spec() == EncoderSpec(name="some/model", options={"max_length": 96})
    assert Added().encoder_spec().options == {**settings.ENCODER_OPTIONS, "batch_size": 8}
    assert registry.get("product").encoder_spec().name == settings.ENCODER


@pytest.mark.parametrize(
    ("declared_language", "text", "language"),
    [
        ("zh", "anything", "zh"),
        ("en-GB", "anything", "en"),
        ("sv", "anything", ""),  # a language that the site does not list
        ("", "机器学习入门课程", "zh"),
        ("title", "zh-hans", "zh"),  # the name of a field
    ],
)
def test_the_language_is_declared_read_or_detected(declared_language: str, text: str, language: str) -> None:
    class Spoken(SearchDocument[Product]):
        model = Product
        label = "spoken"
        text_fields = ["title"]

    Spoken.language = declared_language
    with declared(Spoken):
        assert prepared("spoken", Product(title=text)).language == language


def test_the_language_is_told_by_the_sites_own_code_for_it() -> None:
    class Spoken(SearchDocument[Product]):
        model = Product
        label = "spoken"
        text_fields = ["title"]
        language = "zh_CN"

    languages = {**django_settings.LLMREC, "LANGUAGES": ["en", "zh-hans"]}
    with override_settings(LLMREC=languages), declared(Spoken):
        assert prepared("spoken", Product(title="anything")).language == "zh-hans"


def test_a_filter_called_language_is_the_models_own_field() -> None:
    class Plain(SearchDocument[Course]):
        model = Course
        label = "plain"
        text_fields = ["title"]
        filter_fields = ["language"]

    with declared(Plain):
        assert prepared("plain", Course(title="Intro", language="zh")).filters == {"language": "zh"}


def test_items_are_fetched_by_key_with_what_they_show_in_a_fixed_number_of_queries(
    django_assert_num_queries: Any, mug: Product
) -> None:
    others = [Product.objects.create(title=f"Cup {n}", brand=mug.brand) for n in range(5)]
    document = registry.get("product")
    keys = [str(product.pk) for product in [mug, *others]]
    with django_assert_num_queries(2):  # products with their brands, categories
        rows = document.in_bulk(keys)
        assert [document.prepare(row) for row in rows.values()]
    assert sorted(rows) == sorted(keys)


@pytest.mark.parametrize("key", ["", "seven", "1.5", "9" * 40, "-1", "\x00", "1 OR 1=1", "007"])
def test_keys_that_are_none_are_left_out(key: str, mug: Product) -> None:
    Product.objects.create(pk=7, title="Seven")
    assert set(registry.get("product").in_bulk([key, str(mug.pk)])) == {str(mug.pk)}


def test_uuid_keys_work_alike() -> None:
    course = Course.objects.create(title="Intro")
    document = registry.get("course")
    assert set(document.in_bulk([str(course.pk), "no-uuid", str(uuid.uuid4())])) == {str(course.pk)}
    assert document.in_bulk(["no-uuid"]) == {}


def test_what_the_queryset_hides_is_not_fetched() -> None:
    draft = Product.objects.create(title="Draft", is_draft=True)
    assert registry.get("product").in_bulk([str(draft.pk)]) == {}


def test_a_foreign_key_filter_fetches_no_other_row(mug: Product) -> None:
    class Slim(SearchDocument[Product]):
        model = Product
        label = "slim"
        text_fields = ["title"]
        filter_fields = ["brand"]

    with declared(Slim):
        assert registry.get("slim").get_queryset().query.select_related is False
        from django.db import connection

        row = registry.get("slim").get_queryset().get()
        with CaptureQueriesContext(connection) as queries:
            assert prepared("slim", row).filters == {"brand": str(mug.brand_id)}
        assert not queries.captured_queries


def test_the_page_of_an_item_is_its_models() -> None:
    class Team(SearchDocument[Group]):
        model = Group
        text_fields = ["name"]

        def get_absolute_url(self, obj: Group) -> str:
            return f"/teams/{obj.pk}/"

    with declared(Team):
        assert registry.get("group").get_absolute_url(Group(pk=3)) == "/teams/3/"
    assert registry.get("product").get_absolute_url(Product(pk=3)) == ""


def test_a_user_in_words_is_found_by_his_key() -> None:
    user = User.objects.create(username="ada")
    learner = Learner.objects.create(user=user, interests="<i>maths</i> and looms")
    (document,) = registry.user_documents
    assert document.get_user_key(learner) == str(user.pk)
    assert document.find(str(user.pk)) == learner
    assert document.prepare(learner) == "maths and looms"
    assert document.find("999999") is None
    assert document.find("anon:abc") is None


def test_several_texts_of_a_user_are_joined() -> None:
    class Person(UserDocument[User]):
        model = User
        text_fields = ["first_name", "groups__name", "motto"]

        def prepare_motto(self, user: User) -> str:
            return "Onwards!"

        def get_queryset(self) -> QuerySet[User]:
            return super().get_queryset().filter(is_active=True)

    user = User.objects.create(username="ada", first_name="Ada")
    user.groups.add(Group.objects.create(name="Tutors"), Group.objects.create(name="Authors"))
    person = Person()
    assert person.prepare(user) == "Ada\nAuthors, Tutors\nOnwards!"
    assert person.find(str(user.pk)) == user


def test_a_row_of_the_site_becomes_an_event(mug: Product) -> None:
    user = User.objects.create(username="ada")
    at = datetime(2024, 5, 1, tzinfo=UTC)
    line = OrderLine.objects.create(order=Order.objects.create(customer=user, created=at), product=mug)
    (source,) = registry.interaction_sources
    event = source.event(source.get_queryset().get())
    assert event is not None
    assert (event.user_key, event.document, event.item_id) == (str(user.pk), "product", str(mug.pk))
    assert (event.kind, event.at, event.value) == ("purchase", at, None)
    assert event.event_id == f"source:hostapp.orderline:{line.pk}"


def test_a_row_without_user_item_or_time_is_no_event() -> None:
    class Visits(InteractionSource[Product]):
        model = Product
        label = "visits"
        document = "product"
        user_field = "brand"
        item_field = "pk"
        time_field = "created"
        value_field = "price"

    visits = Visits()
    brand = Brand.objects.create(name="Acme")
    at = datetime(2024, 5, 1, tzinfo=UTC)
    assert visits.event(Product(pk=1, created=at)) is None
    assert visits.event(Product(pk=1, brand=brand)) is None
    event = visits.event(Product(pk=1, brand=brand, created=at, price=Decimal("2.5")))
    assert event is not None
    assert (event.user_key, event.value) == (str(brand.pk), 2.5)


def test_a_date_without_a_time_is_a_moment_in_the_sites_zone() -> None:
    class Starts(InteractionSource[Course]):
        model = Course
        document = "course"
        user_field = "level"
        item_field = "pk"
        time_field = "starts"

    event = Starts().event(Course(title="Intro", starts=date(2024, 5, 1)))
    assert event is not None
    assert event.at == datetime(2024, 5, 1, tzinfo=UTC)
