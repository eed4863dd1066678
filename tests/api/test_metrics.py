"""metrics/: for Prometheus and staff, without users and texts, over all processes of a server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.utils import timezone
from rest_framework.test import APIClient

from llmrec_plugin import monitoring
from llmrec_plugin.models import OutboxEntry
from llmrec_plugin.services import indexing
from tests.api.conftest import Site, assert_problem
from tests.hostapp.models import Product
from tests.support.servers import free_port, site_answers

TOKEN = "a long secret"


@pytest.fixture
def with_token(settings: Any) -> None:
    settings.LLMREC = {**settings.LLMREC, "METRICS_TOKEN": TOKEN}


def scrape(api: APIClient) -> str:
    response = api.get("/api/metrics/", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain")
    return response.content.decode()


def value(page: str, name: str, **labels: str) -> float:
    """The sum over all series of that name that carry these labels."""
    total = 0.0
    for line in page.splitlines():
        found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if found and found[1] == name and labels.items() <= dict(_labels(found[2] or "")).items():
            total += float(found[3])
    return total


def _labels(text: str) -> list[tuple[str, str]]:
    return re.findall(r'(\w+)="([^"]*)"', text)


@pytest.mark.usefixtures("with_token")
def test_a_search_a_save_and_a_drain_are_counted(site: Site, api: APIClient) -> None:
    before = scrape(api)
    query = f"kettle {uuid.uuid4()}"  # not remembered in this process from another test
    for _ in range(2):
        assert api.get("/api/search/", {"q": query, "document": "product"}).status_code == 200
    Product.objects.filter(pk=site.key("Candle")).update(title="Beeswax candle")
    indexing.mark(Product.objects.filter(pk=site.key("Candle")))
    waits = scrape(api)
    assert value(waits, "llmrec_backlog_entries", document="product") == 1
    assert value(waits, "llmrec_backlog_entries", document="course") == 0
    indexing.drain()
    after = scrape(api)
    for name, labels, growth in (
        ("llmrec_list_seconds_count", {"document": "product", "placement": "search"}, 2),
        ("llmrec_engine_seconds_count", {"document": "product"}, 2),
        ("llmrec_leg_seconds_count", {"leg": "text"}, 2),
        ("llmrec_leg_seconds_count", {"leg": "vector"}, 2),
        ("llmrec_query_vectors_total", {"source": "process"}, 1),  # the second query of the two
        ("llmrec_query_vectors_total", {"source": "encoder"}, 1),
        ("llmrec_encode_seconds_count", {"document": "product", "kind": "query"}, 1),
        ("llmrec_encode_seconds_count", {"document": "product", "kind": "items"}, 1),
        ("llmrec_encoded_items_total", {"document": "product"}, 1),
        ("llmrec_drain_seconds_count", {}, 1),
        ("llmrec_drained_items_total", {"outcome": "written"}, 1),
        ("llmrec_degraded_lists_total", {}, 0),
    ):
        assert value(after, name, **labels) - value(before, name, **labels) == growth, name
    assert value(after, "llmrec_backlog_entries") == 0


@pytest.mark.usefixtures("with_token")
def test_what_is_missing_from_a_list_is_counted_by_part(site: Site, api: APIClient, settings: Any) -> None:
    before = scrape(api)
    settings.LLMREC = {**settings.LLMREC, "BACKEND": "llmrec_plugin.contracts.silent_engine"}
    assert api.get("/api/search/?q=kettle&document=product").json()["degraded"] == ["engine"]
    after = scrape(api)
    name = "llmrec_degraded_lists_total"
    assert value(after, name, part="engine") - value(before, name, part="engine") == 1


@pytest.mark.usefixtures("with_token")
def test_the_backlog_has_an_age_and_failures(site: Site, api: APIClient) -> None:
    OutboxEntry.objects.create(document="product", item_id="1", attempts=1)
    OutboxEntry.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    page = scrape(api)
    assert value(page, "llmrec_backlog_failing", document="product") == 1
    assert value(page, "llmrec_backlog_age_seconds", document="product") == pytest.approx(120, abs=30)


@pytest.mark.usefixtures("with_token")
def test_no_series_names_a_user_an_item_or_a_text(site: Site, api: APIClient) -> None:
    user = User.objects.create_user("ada.lovelace")
    api.force_login(user)
    api.get("/api/search/?q=zanzibar&document=product")
    api.get("/api/recommendations/for-you/?document=product")
    api.force_authenticate(None)
    api.logout()
    page = scrape(api)
    names = {name for line in page.splitlines() if line.startswith("llmrec_") for name, _ in _labels(line)}
    assert names <= {"document", "placement", "part", "kind", "source", "outcome", "leg", "le"}
    assert "zanzibar" not in page
    assert "lovelace" not in page


@pytest.mark.django_db
class TestWhoMayRead:
    def test_strangers_may_not(self, api: APIClient) -> None:
        assert api.get("/api/metrics/").status_code in (401, 403)

    def test_a_user_who_is_no_staff_may_not(self, api: APIClient) -> None:
        api.force_login(User.objects.create_user("customer"))
        assert_problem(api.get("/api/metrics/"), 403, "permission_denied")

    def test_staff_may(self, api: APIClient) -> None:
        api.force_login(User.objects.create_user("editor", is_staff=True))
        assert api.get("/api/metrics/").status_code == 200

    @pytest.mark.usefixtures("with_token")
    @pytest.mark.parametrize(
        "header", ["Bearer wrong", "Bearer ", "Basic YTpi", f"Token {TOKEN}", "Bearer ü"]
    )
    def test_another_token_does_not_do(self, api: APIClient, header: str) -> None:
        assert api.get("/api/metrics/", headers={"Authorization": header}).status_code in (401, 403)

    def test_no_token_is_no_token(self, api: APIClient) -> None:
        assert api.get("/api/metrics/", headers={"Authorization": "Bearer "}).status_code in (401, 403)


@pytest.mark.usefixtures("with_token")
@pytest.mark.django_db
def test_without_the_client_there_are_no_metrics_and_nothing_else_fails(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    body = assert_problem(
        api.get("/api/metrics/", headers={"Authorization": f"Bearer {TOKEN}"}), 404, "not_installed"
    )
    assert "prometheus" in body["detail"]
    monitoring.Counter("llmrec_tests", "Counts nothing.", "part").add(part="vector")
    with monitoring.Timer("llmrec_tests_seconds", "Times nothing.").time():
        pass


def test_django_prometheus_shows_the_same_numbers(site: Site, api: APIClient) -> None:
    exports = pytest.importorskip("django_prometheus.exports", reason="of it no release takes this Django")

    api.get("/api/search/?q=kettle&document=product")
    page = exports.ExportToDjangoView(RequestFactory().get("/metrics")).content.decode()
    assert value(page, "llmrec_list_seconds_count", document="product") > 0


@contextmanager
def web_server(folder: Path, workers: int) -> Iterator[str]:
    """gunicorn with the test site, its processes counting into one folder."""
    (folder / "metrics").mkdir()
    port = free_port()
    log = (folder / "web.log").open("w")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "--config", "/dev/null", "--bind", f"127.0.0.1:{port}"),
            *("--workers", str(workers), "django.core.wsgi:get_wsgi_application()"),
        ],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.api.metrics_settings",
            "LLMREC_TEST_DB": str(folder / "site.sqlite3"),
            "LLMREC_TEST_DATA": str(folder / "indexes"),
            "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
        },
        stdout=log,
        stderr=log,
    )
    try:
        deadline = time.monotonic() + 60
        while "Booting worker" not in (folder / "web.log").read_text() or not site_answers(port):
            assert process.poll() is None, (folder / "web.log").read_text()
            assert time.monotonic() < deadline, (folder / "web.log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
        log.close()


def get(url: str, **headers: str) -> tuple[int, str]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        return answer.status, answer.read().decode()


def test_the_processes_of_a_server_tell_one_sum(tmp_path: Path) -> None:
    prepare = (
        "import django; django.setup()\n"
        "from django.core.management import call_command\n"
        "call_command('migrate', run_syncdb=True, verbosity=0)\n"
        "from tests.hostapp.models import Product\n"
        "from llmrec_plugin.services.indexing.index_build import build\n"
        "Product.objects.create(title='Red kettle')\n"
        "build('product')\n"
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "LLMREC_TEST_DB": str(tmp_path / "site.sqlite3"),
        "LLMREC_TEST_DATA": str(tmp_path / "indexes"),
    }
    subprocess.run([sys.executable, "-c", prepare], env=environment, check=True)
    with web_server(tmp_path, workers=2) as url:
        with ThreadPoolExecutor(4) as visitors:  # at once, so that both processes have some
            pages = list(visitors.map(get, [f"{url}/api/search/?q=kettle&document=product"] * 20))
        assert {status for status, _ in pages} == {200}
        status, page = get(f"{url}/api/metrics/", Authorization=f"Bearer {TOKEN}")
    assert status == 200
    assert value(page, "llmrec_list_seconds_count", placement="search") == 20
    assert value(page, "llmrec_backlog_entries", document="product") == 0
