"""Each mistake in settings or declarations has a check with an id and a cure."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Group, User
from django.core.checks import CheckMessage
from django.core.checks import registry as django_checks
from django.db.models import QuerySet
from django.test import override_settings

from llmrec_plugin import checks
from llmrec_plugin.documents import (
    ImportedItemDocument,
    InteractionSource,
    Progression,
    SearchDocument,
    UserDocument,
    registry,
)
from llmrec_plugin.encoders.base import EncoderSpec
from tests.hostapp.models import Brand, Category, OrderLine, Product
from tests.support.indexed import declared, undeclared


def all_checks() -> list[CheckMessage]:
    return [
        *checks.check_settings(),
        *checks.check_engines(),
        *checks.check_strategies(),
        *checks.check_sentences(),
        *checks.check_documents(),
        *checks.check_people(),
    ]


def found(*classes: Any) -> dict[str, CheckMessage]:
    """Messages by id while these classes are declared."""
    with declared(*classes):
        return {str(message.id).rpartition(".")[2]: message for message in all_checks()}


def document(**attributes: Any) -> type[SearchDocument[Product]]:
    """A declaration that is right but for what the test sets."""
    base = {"model": Product, "label": "thing", "text_fields": ["title"]}
    return type("Thing", (SearchDocument,), {**base, **attributes})


def test_a_site_that_is_to_be_deployed_says_how_many_proxies_it_has() -> None:
    (message,) = checks.check_throttles()
    assert message.id == "llmrec_plugin.W004"
    with override_settings(REST_FRAMEWORK={"NUM_PROXIES": 0}):
        assert checks.check_throttles() == []


def test_the_test_sites_declarations_are_right() -> None:
    assert all_checks() == []


def test_a_document_of_imported_items_is_right_as_its_own_docs_declare_it() -> None:
    class FilmDocument(ImportedItemDocument):
        label = "film"
        text_fields = {"title": 2, "description": 1}
        filter_fields = ["year"]
        kinds = {"year": "number"}

    assert found(FilmDocument) == {}


def test_every_message_has_an_id_of_ours_and_a_hint() -> None:
    with declared(document(text_fields=["titles"], label="A b"), document(related={Brand: "categories"})):
        messages = all_checks()
    assert messages
    assert all(str(message.id).startswith("llmrec_plugin.") and message.hint for message in messages)


@pytest.mark.parametrize(
    ("settings", "number", "said"),
    [
        ({"BACKENDS": 1}, "E001", 'Did you mean "BACKEND"?'),
        ({"TASKS": "sometimes"}, "E001", 'must be one of "auto", "celery", "django", "process", "off"'),
        ({"ENABLED": "False"}, "E001", """LLMREC["ENABLED"] is 'False'; it must be True or False"""),
        ({"BACKEND": None}, "E001", 'LLMREC["BACKEND"] is None; it must be a text'),
        (
            {"BACKEND_OPTIONS": "http://es:9200"},
            "E001",
            'LLMREC["BACKEND_OPTIONS"] is not shown, of type str; it must be a dict',
        ),
        ({"DATA_DIR": 7}, "E001", 'LLMREC["DATA_DIR"] is 7; it must be a text, or a path'),
        (
            {"METRICS_TOKEN": b"secret"},
            "E001",
            'LLMREC["METRICS_TOKEN"] is not shown, of type bytes; it must be a text',
        ),
        ({"LANGUAGES": "en"}, "E001", "a list of language codes"),
        ({"LANGUAGES": [None]}, "E001", "a list of language codes"),
        ({"RERANK": {"model": "some/model", "item": 5}}, "E001", 'Did you mean "items"?'),
        ({"RERANK": {"items": 5}}, "E001", '["model"] is missing; it must be a model id, path or module'),
        (
            {"RERANK": {"model": "some/model", "items": 0}},
            "E001",
            "is 0; it must be a whole number from 1 to 200",
        ),
        ({"RERANK": {"model": "some/model", "seconds": True}}, "E001", "a number of seconds above 0"),
        ({"RERANK": {"model": "some/model", "options": []}}, "E001", "a dict"),
        ({"INDEX_PREFIX": "-shop"}, "E001", "is '-shop'; it must be a letter or digit, then"),
        (
            {"LIMITS": {"drain_bach": 5}},
            "E001",
            'LLMREC["LIMITS"]["drain_bach"] is unknown. Did you mean "drain_batch"?',
        ),
        ({"LIMITS": {"models_kept": 0}}, "E001", '["models_kept"] is 0; it must be a whole number above 0'),
        ({"DRAIN_BATCH": 5}, "E001", 'LLMREC["DRAIN_BATCH"] is unknown'),
        ({"RERANK": "some/model"}, "E001", """LLMREC["RERANK"] is 'some/model'; it must be a dict"""),
        ({"RERANK": []}, "E001", 'LLMREC["RERANK"] is []; it must be a dict, or None'),
        ({"SUGGEST_MIN_VISITORS": 0}, "E001", "is 0; it must be a whole number above 0"),
        ({"CONSENT": "opt_in"}, "E001", 'Did you mean "opt-in"?'),
        ({"USER_RESOLVER": "llmrec_plugin.nobody"}, "E003", "cannot be imported"),
        ({"PLACEMENTS": {"home": {"type": "oracle"}}}, "E004", "oracle"),
        (
            {"PLACEMENTS": {"home": {"type": "latest", "document": "product", "filters": {"prize": 1}}}},
            "E004",
            'Did you mean "price"?',
        ),
    ],
)
def test_settings(settings: dict[str, Any], number: str, said: str) -> None:
    with override_settings(LLMREC={**django_settings.LLMREC, **settings}):
        (message,) = checks.check_settings()
    assert message.id == f"llmrec_plugin.{number}"
    assert said in message.msg


@pytest.mark.parametrize(
    ("settings", "number", "said"),
    [
        ({"BACKEND": "nowhere.at.all"}, "E002", "no such module"),
        (
            {"BACKEND": "llmrec_plugin.backends.embeded"},
            "E002",
            'Did you mean "llmrec_plugin.backends.embedded"?',
        ),
        (
            {"BACKEND": "llmrec_plugin.backends.embedded.SearchBackend"},
            "E002",
            'Did you mean "llmrec_plugin.backends.embedded"?',
        ),
        ({"BACKEND": "llmrec_plugin.suggest"}, "E002", "exports no class SearchBackend"),
        ({"BACKEND": "llmrec_plugin.backends"}, "E002", "exports no class SearchBackend"),
        ({"BACKEND": "tests.site.unfinished_engine"}, "E002", "it lacks check, count, create_index, "),
        (
            {"BACKEND_OPTIONS": {"dtyp": "float16"}},
            "E038",
            '["dtyp"] is unknown to llmrec_plugin.backends.embedded. Did you mean "dtype"?',
        ),
        ({"BACKEND_OPTIONS": {"busy_timeout": "long"}}, "E038", "must be a number from 0 to 3600"),
        (
            {"BACKEND": "llmrec_plugin.backends.memory", "BACKEND_OPTIONS": {"dtype": 1}},
            "E038",
            '["dtype"] is unknown',
        ),
        (
            {
                "BACKEND": "llmrec_plugin.backends.elasticsearch",
                "BACKEND_OPTIONS": {"host": "http://es:9200"},
            },
            "E038",
            'Did you mean "hosts"?',
        ),
        (
            {"BACKEND": "llmrec_plugin.backends.elasticsearch", "BACKEND_OPTIONS": {"hosts": "es:9200"}},
            "E038",
            "is not shown, of type str; it must be a URL",
        ),
        ({"ENCODER_OPTIONS": {"dimension": 64}}, "E039", 'Did you mean "dimensions"?'),
        ({"ENCODER_OPTIONS": {"dimensions": 1}}, "E039", "from 2 to 4096"),
        (
            {"ENCODER": "some/model", "ENCODER_OPTIONS": {"dtype": "float23"}},
            "E039",
            'Did you mean "float32"?',
        ),
        ({"ENCODER": "https://a.test", "ENCODER_OPTIONS": {"modell": "e"}}, "E039", 'Did you mean "model"?'),
        ({"ENCODER": "llmrec_plugin.suggest", "ENCODER_OPTIONS": {}}, "E039", "has no function build(spec)"),
        ({"ENCODER": "nowhere.encoder", "ENCODER_OPTIONS": {}}, "E039", "cannot be imported"),
        ({"RERANK": {"model": "some/model", "options": {"device": 1}}}, "E039", "is 1; it must be a text"),
        ({"RERANK": {"model": "nowhere.at.all"}}, "E039", 'LLMREC["RERANK"]: The encoder "nowhere.at.all"'),
    ],
)
def test_engines_and_encoders(settings: dict[str, Any], number: str, said: str) -> None:
    with override_settings(LLMREC={**django_settings.LLMREC, **settings}):
        (message,) = checks.check_engines()
    assert message.id == f"llmrec_plugin.{number}"
    assert said in message.msg


def test_the_options_of_a_documents_own_encoder_are_checked() -> None:
    wrong = document(encoder="llmrec_plugin.encoders.hashing", encoder_options={"dimension": 8})
    message = found(wrong)["E039"]
    assert 'Did you mean "dimensions"?' in message.msg
    assert message.hint == "Mend encoder_options."


def test_an_encoder_of_the_sites_own_may_need_what_is_only_installed_where_it_runs() -> None:
    right = {"ENCODER": "tests.site.encoder_elsewhere", "ENCODER_OPTIONS": {}}
    with override_settings(LLMREC={**django_settings.LLMREC, **right}):
        assert checks.check_engines() == []


def test_a_site_without_a_folder_for_its_indexes_is_told_both_ways_to_name_one(settings: Any) -> None:
    settings.LLMREC = {**django_settings.LLMREC, "DATA_DIR": ""}
    assert checks.check_settings() == []
    del settings.BASE_DIR
    (message,) = checks.check_settings()
    assert message.id == "llmrec_plugin.E006"
    assert 'LLMREC["DATA_DIR"]' in message.msg
    assert "BASE_DIR" in message.msg
    settings.LLMREC = {**django_settings.LLMREC, "DATA_DIR": "/var/lib/site"}
    assert checks.check_settings() == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [("text_field", "text_fields"), ("filters_fields", "filter_fields"), ("get_query_set", "get_queryset")],
)
def test_a_name_that_is_nearly_ours_is_told(written: str, meant: str) -> None:
    message = found(document(**{written: ["title"]}))["W003"]
    assert f'Did you mean "{meant}"?' in message.msg


def test_names_of_the_sites_own_are_its_own_business() -> None:
    own = {"currency": "EUR", "prepare_shelf": lambda self, obj: "", "_label": 1, "fields": (), "shelves": {}}
    assert found(document(**own)) == {}


@pytest.mark.parametrize(
    ("attributes", "number", "said"),
    [
        ({"label": "product"}, "E010", "ProductDocument and Thing have the same label"),
        ({"label": "Two Words"}, "E011", "Two Words"),
        ({"text_fields": []}, "E012", "names no field"),
        ({"text_fields": "title"}, "E012", "names no field"),
        ({"text_fields": ["titles"]}, "E013", 'Did you mean "title"?'),
        ({"text_fields": ["title__upper"]}, "E013", "plain field"),
        ({"text_fields": {"title": 0}}, "E014", "weight 0"),
        ({"text_fields": {"title": "much"}}, "E014", "'much'"),
        ({"filter_fields": ["prize"]}, "E015", 'Did you mean "price"?'),
        ({"filter_fields": "price"}, "E015", "one string"),
        ({"filter_fields": ["__str__"]}, "E016", "has no kind"),
        ({"filter_fields": ["price"], "kinds": {"price": "money"}}, "E016", '"money" is no kind'),
        ({"filter_fields": ["price"], "kinds": {"prize": "number"}}, "E016", "no filter field"),
        ({"filter_fields": ["price"], "filter_kinds": {"price": "number"}}, "E016", "must not be replaced"),
        ({"related": {Brand: "maker"}}, "E017", '"maker"'),
        ({"related": {Brand: "categories"}}, "E017", "to Category, not to Brand"),
        ({"related": {Brand: "title"}}, "E017", "does not lead"),
        ({"date_field": "creation"}, "E018", 'Did you mean "created"?'),
        ({"date_field": "title"}, "E018", "no date or datetime"),
        ({"filter_fields": {"sort": "price"}}, "E028", "named like a parameter"),
        ({"language": "English please"}, "E019", "neither a code nor a field"),
        ({"encoder": 7}, "E026", "neither a name"),
        ({"progression": Progression(requires="brand")}, "E035", "to Brand, not to Product"),
        ({"progression": Progression(level="prize")}, "E035", 'Did you mean "price"?'),
        ({"progression": Progression(within="__str__")}, "E035", "no field of a model"),
    ],
)
def test_documents(attributes: dict[str, Any], number: str, said: str) -> None:
    message = found(document(**attributes))[number]
    assert said in message.msg


@pytest.mark.parametrize(
    "attributes",
    [
        {"text_fields": {"title": 3, "description": 0.5}},
        {"text_fields": ["brand__name"], "related": {Brand: "brand"}},
        {"text_fields": ["title"], "filter_fields": ["brand"]},  # the key alone is read
        {"filter_fields": {"kind": "__str__"}, "kinds": {"kind": "keyword"}},
        {
            "filter_fields": ["made_up"],
            "kinds": {"made_up": "number"},
            "prepare_made_up": lambda self, obj: 1,
        },
        {"related": {Brand: ("brand",), Category: "categories"}},
        {"date_field": "created"},
        {"language": "zh-Hans"},
        {"filter_fields": ["language"]},
        {"language": "title"},
        {"encoder": EncoderSpec(name="some/model")},
        {"progression": Progression(level="price", within="brand")},
    ],
)
def test_what_is_right_is_not_complained_of(attributes: dict[str, Any]) -> None:
    assert found(document(**attributes)) == {}


def test_a_prepared_filter_needs_a_kind() -> None:
    wrong = document(filter_fields=["made_up"], prepare_made_up=lambda self, obj: 1)
    assert 'kinds = {"made_up": "keyword"}' in str(found(wrong)["E016"].hint)


def test_one_mistake_does_not_hide_another() -> None:
    ids = found(document(text_fields=["titles"], filter_fields=["prize"], related={Brand: "maker"}))
    assert {"E013", "E015", "E017"} <= set(ids)


def test_kinds_for_browsers_that_nobody_declared_are_told() -> None:
    with override_settings(LLMREC={**django_settings.LLMREC, "BROWSER_KINDS": ["view", "by"]}):
        (message,) = checks.check_settings()
    assert message.id == "llmrec_plugin.E040"
    assert '"by" is no kind of event' in message.msg


def user_document(**attributes: Any) -> type[UserDocument[User]]:
    return type("Person", (UserDocument,), {"model": User, "text_fields": ["first_name"], **attributes})


def source(**attributes: Any) -> type[InteractionSource[OrderLine]]:
    base = {
        "model": OrderLine,
        "label": "lines",
        "document": "product",
        "user_field": "order__customer_id",
        "item_field": "product_id",
        "time_field": "order__created",
    }
    return type("Lines", (InteractionSource,), {**base, **attributes})


def of_brand(self: InteractionSource[OrderLine]) -> QuerySet[OrderLine]:
    return OrderLine.objects.filter(product__brand__name="Acme")


@pytest.mark.parametrize(
    ("declaration", "number", "said"),
    [
        (user_document(text_fields=[]), "E020", "names no field"),
        (user_document(text_fields=["firstname"]), "E020", 'Did you mean "first_name"?'),
        (user_document(user_field="key"), "E021", '"key"'),
        (user_document(get_user_key=lambda self, obj: "x"), "W002", "the way back"),
        (user_document(level_field="step"), "E036", '"step"'),
        (source(document="products"), "E022", '"products" is not registered'),
        (source(kind="steal"), "E023", '"steal" is unknown'),
        (source(kind_field="order__status", kinds={"paid": "steal"}), "E023", '"steal" is unknown'),
        (source(item_field=""), "E024", "item_field is empty"),
        (source(related={Brand: "order"}), "E024", "not to Brand"),
        (source(get_queryset=of_brand), "W020", "reads Brand"),
        (source(user_field="order__custom"), "E024", 'Did you mean "customer"?'),
        (source(label="hostapp.orderline"), "E025", "2 interaction sources"),
    ],
)
def test_users_and_sources(declaration: Any, number: str, said: str) -> None:
    assert said in found(declaration)[number].msg


def test_a_source_of_a_misspelt_document_is_told_the_nearest() -> None:
    assert 'Did you mean "product"?' in str(found(source(document="products"))["E022"].hint)


def test_users_and_sources_that_are_right() -> None:
    assert found(user_document(), source(value_field="quantity")) == {}
    related = {Brand: "product__brand"}
    assert found(source(get_queryset=of_brand, related=related, kind_field="order__status")) == {}


def test_a_site_without_documents_is_told_how_to_begin() -> None:
    with undeclared(*map(type, registry)):
        (message,) = checks.check_documents()
    assert message.id == "llmrec_plugin.W001"
    assert "search_documents.py" in str(message.hint)


def test_a_broken_declaration_can_still_be_checked_together_with_others() -> None:
    class Team(SearchDocument[Group]):
        model = Group
        text_fields = ["nme"]

    assert set(found(Team, document(related={Brand: "brand"}))) == {"E013"}


HEAVY = ["torch", "elasticsearch", "jieba", "sentence_transformers", "transformers", "scipy", "celery"]


def run_python(code: str) -> str:
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": "/usr/bin:/bin", "PYTHONPATH": "."},
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_starting_and_checking_imports_nothing_heavy() -> None:
    code = (
        "import sys, django; django.setup(); "
        "from django.core.management import call_command; call_command('check'); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert run_python(code).endswith("[]\n")


def test_checking_the_options_of_a_model_loads_no_model() -> None:
    settings = {"ENCODER": "some/model", "RERANK": {"model": "some/reranker"}}
    code = (
        "import sys, django; from django.conf import settings; "
        f"settings.LLMREC = {{**settings.LLMREC, 'ENCODER_OPTIONS': {{}}, **{settings!r}}}; django.setup(); "
        "from django.core.management import call_command; call_command('check'); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert run_python(code).endswith("[]\n")


def test_starting_needs_no_network_and_no_database() -> None:
    code = (
        "import socket, sqlite3, django\n"
        "def refuse(*a, **k): raise AssertionError('no network, no database')\n"
        "socket.socket.connect = refuse\n"
        "sqlite3.connect = refuse\n"
        "django.setup()\n"
        "from django.core.management import call_command\n"
        "call_command('check', tags=['llmrec'])\n"
    )
    run_python(code)


def test_checks_can_be_run_by_tag() -> None:
    assert "llmrec" in django_checks.registry.tags_available()
