"""schema/ and docs/: valid, complete, and about this package alone."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import override_settings
from drf_spectacular.validation import validate_schema
from rest_framework.test import APIClient

from llmrec_plugin.api.serializers import SearchParameters
from llmrec_plugin.checks.documents import SEARCH_PARAMETERS

JSON = {"Accept": "application/vnd.oai.openapi+json"}
OPERATIONS = {
    "llmrec_search",
    "llmrec_suggest",
    "llmrec_recommendations",
    "llmrec_similar",
    "llmrec_also_bought",
    "llmrec_record_interactions",
    "llmrec_note_seen",
    "llmrec_me",
    "llmrec_erase_me",
    "llmrec_export_me",
    "llmrec_set_consent",
    "llmrec_health_live",
    "llmrec_health_ready",
}


@pytest.fixture
def schema(db: None, api: APIClient) -> dict[str, Any]:
    document: dict[str, Any] = api.get("/api/schema/", headers=JSON).json()
    return document


def operations(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        operation["operationId"]: operation
        for path in schema["paths"].values()
        for operation in path.values()
    }


def test_the_document_is_valid_and_names_each_operation_once(schema: dict[str, Any]) -> None:
    validate_schema(schema)  # type: ignore[no-untyped-call]
    count = sum(len(path) for path in schema["paths"].values())
    assert set(operations(schema)) == OPERATIONS
    assert count == len(OPERATIONS)


def test_every_parameter_and_answer_is_described(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema).items():
        assert operation["summary"], name
        for parameter in operation.get("parameters", []):
            assert parameter["in"] == "path" or parameter.get("description"), (name, parameter["name"])


def test_the_system_check_knows_every_parameter_that_a_filter_could_hide_behind() -> None:
    assert set(SearchParameters().fields) == SEARCH_PARAMETERS


def test_filters_of_the_registered_documents_are_parameters(schema: dict[str, Any]) -> None:
    search = {parameter["name"]: parameter for parameter in operations(schema)["llmrec_search"]["parameters"]}
    assert {"q", "document", "facets", "sort", "limit", "cursor", "personalize", "explain"} <= set(search)
    assert search["price__gte"]["schema"]["type"] == "number"
    assert "product" in search["price__gte"]["description"]
    assert search["category"]["schema"]["type"] == "array"
    assert "category__gte" not in search


def test_errors_are_described_as_problem_documents(schema: dict[str, Any]) -> None:
    content = operations(schema)["llmrec_search"]["responses"]["400"]["content"]
    assert set(content) == {"application/problem+json"}


@override_settings(ROOT_URLCONF="tests.api.urls")
def test_paths_are_those_where_the_site_has_mounted_it(db: None, api: APIClient) -> None:
    schema = api.get("/shop/v1/schema/", headers=JSON).json()
    assert "/shop/v1/search/" in schema["paths"]
    assert all(path.startswith("/shop/v1/") for path in schema["paths"])


def test_the_sites_own_document_is_made_without_a_warning(db: None, tmp_path: Path) -> None:
    file = tmp_path / "schema.yml"
    call_command("spectacular", file=str(file), validate=True, fail_on_warn=True, stdout=StringIO())
    assert "llmrec_search" in file.read_text()


def test_it_is_written_in_yaml_unless_asked_otherwise(db: None, api: APIClient) -> None:
    response = api.get("/api/schema/")
    assert response.headers["Content-Type"].startswith("application/vnd.oai.openapi")
    assert response.content.startswith(b"openapi: 3")


@pytest.mark.parametrize("query", ["format=pdf", "lang=%00", "version=%0a", "format=%00"])
def test_odd_parameters_of_the_document_do_no_harm(db: None, api: APIClient, query: str) -> None:
    assert api.get(f"/api/schema/?{query}").status_code < 500
    assert api.get(f"/api/docs/?{query}").status_code < 500


def test_the_page_shows_the_document_beside_it(db: None, api: APIClient) -> None:
    page = api.get("/api/docs/").content.decode()
    assert "../schema/" in page
    assert "swagger-ui-bundle.js" in page


def test_the_page_needs_no_content_network_with_the_sidecar(db: None, api: APIClient, settings: Any) -> None:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "drf_spectacular_sidecar"]
    page = api.get("/api/docs/").content.decode()
    assert "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js" in page
    assert "https://" not in page


BARE = """
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="x", ALLOWED_HOSTS=["*"], USE_TZ=True, ROOT_URLCONF=__name__, BASE_DIR={folder!r},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "llmrec_plugin"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.test import Client
from django.urls import include, path

urlpatterns = [path("", include("llmrec_plugin.api.urls"))]

client = Client()
schema = client.get("/schema/", headers={{"Accept": "application/vnd.oai.openapi+json"}})
assert "/search/" in schema.json()["paths"], schema.content
assert b"swagger" in client.get("/docs/").content
assert client.get("/search/").json()["code"] == "invalid_request"
"""


def test_a_site_need_not_install_or_set_up_the_frameworks(tmp_path: Path) -> None:
    """In a process of its own, since other settings cannot be loaded in this one."""
    script = tmp_path / "bare.py"
    script.write_text(textwrap.dedent(BARE.format(folder=str(tmp_path))))
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert done.returncode == 0, done.stderr


def test_kinds_of_events_are_those_that_are_registered_and_browsers_may_send(schema: dict[str, Any]) -> None:
    schemas = schema["components"]["schemas"]
    reference = schemas["LlmrecInteraction"]["properties"]["kind"]["$ref"]
    kind = schemas[reference.removeprefix("#/components/schemas/")]
    assert kind["enum"] == ["view", "click", "cart", "purchase", "enrol", "rating", "dismiss", "like"]
