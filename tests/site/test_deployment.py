"""Dockerfile, compose.yaml and .env.example: checked as far as can be without a container engine, and their
commands run for real."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from llmrec_plugin.schedule import task_routes
from project import environment
from tests.support.demo_files import cut_fixtures
from tests.support.deployed import ROOT, SECRETS, Site, compose, deployed, example, variables, wait_until

SITE = ("web", "worker", "trainer", "beat", "migrate")
HASHING = "llmrec_plugin.encoders.hashing"
PREPARE = """
import django
from django.core.management import call_command

django.setup()
call_command("check", deploy=True, fail_level="WARNING")
call_command("collectstatic", interactive=False)
call_command("load_demo")
call_command("llmrec", "build")
"""
"""Separate commands in production; in one process they import everything only once."""


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = compose(SECRETS)["services"]
    return found


def test_every_variable_is_explained_in_the_example_and_none_there_is_idle() -> None:
    assert {name for name, _, _ in variables()} == set(example())


def test_no_secret_has_a_default_and_the_stack_does_not_start_without_one() -> None:
    empty = {name for name, value in example().items() if not value}
    assert empty == set(SECRETS)
    assert {kind for name, kind, _ in variables() if name in empty} == {"?"}


def test_defaults_agree_with_the_example() -> None:
    written = example()
    assert {name: default for name, kind, default in variables() if kind == "-" and default} == {
        name: written[name] for name, kind, default in variables() if kind == "-" and default
    } | {"DEMO": "0"}


def test_the_site_reads_every_variable_that_compose_gives_it(services: dict[str, Any]) -> None:
    sources = [*(ROOT / "project").glob("*.py"), ROOT / "gunicorn.conf.py"]
    read = set(re.findall(r'"([A-Z_]{4,})"', "".join(path.read_text(encoding="utf-8") for path in sources)))
    given = {name for service in SITE for name in services[service]["environment"]}
    assert given - {"REMAP_SIGTERM"} <= read  # which is Celery's own


def test_only_the_web_server_can_be_reached_from_outside(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["web"]
    assert services["web"]["ports"] == ["127.0.0.1:8000:8000"]
    outside = [name for name, service in services.items() if service["networks"] != ["inside"]]
    assert outside == ["web"]
    assert compose(SECRETS)["networks"]["inside"] == {"internal": True}


def test_what_a_service_waits_for_exists_and_can_say_that_it_is_ready(services: dict[str, Any]) -> None:
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services[name]["healthcheck"]
            else:
                assert services[name]["restart"] == "on-failure:3"  # it runs once


def test_volumes_are_declared_and_used(services: dict[str, Any]) -> None:
    named = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert {name for name in named if not name.startswith(".")} == set(compose(SECRETS)["volumes"])


def test_the_workers_take_every_queue_that_tasks_are_sent_to(services: dict[str, Any]) -> None:
    commands = [services[name]["command"] for name in ("worker", "trainer")]
    taken = {queue for command in commands for queue in command[command.index("-Q") + 1].split(",")}
    assert taken == {route["queue"] for route in task_routes().values()}


def test_site_processes_run_without_rights(services: dict[str, Any]) -> None:
    for name in SITE:
        service = services[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_image_gets_what_it_copies_and_nothing_secret() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "*"
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert all((ROOT / name).exists() for name in kept)
    assert {"requirements.txt", "requirements-production.txt", "gunicorn.conf.py", "deploy"} - {*kept} == {
        "deploy"
    }
    assert not {".env", "db.sqlite3", ".git"} & {*kept}


def test_the_dockerfile_has_no_known_fault() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    found = subprocess.run(
        [linter, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_a_database_url_is_read_whole() -> None:
    url = "postgresql://shop:p%40ss@db.example:6432/shop?sslmode=require"
    settings = environment.database(url, path="unused")
    assert settings["OPTIONS"] == {"sslmode": "require"}
    assert [settings[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")] == [
        *("shop", "p@ss", "db.example", "6432", "shop")
    ]
    assert environment.database("", path="here.sqlite3")["NAME"] == "here.sqlite3"


@pytest.mark.parametrize("url", ["mysql://a:secret@b/c", "postgresql://a:secret@b", "b/c"])
def test_another_database_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL") as caught:
        environment.database(url, path="")
    assert "secret" not in str(caught.value)


def test_a_size_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXIES", "one")
    with pytest.raises(ImproperlyConfigured, match="PROXIES is 'one'"):
        environment.number("PROXIES", 0)


def test_the_search_engine_is_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.search_engine() == {}
    monkeypatch.setenv("ELASTICSEARCH_URL", "https://a:9200, https://b:9200")
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", "key")
    monkeypatch.setenv("ELASTICSEARCH_CA_CERTS", "/ca.pem")
    assert environment.search_engine()["BACKEND_OPTIONS"] == {
        "hosts": ["https://a:9200", "https://b:9200"],
        "api_key": "key",
        "ca_certs": "/ca.pem",
        "shards": 1,
    }


def get(site: Site, path: str, **headers: str) -> tuple[int, Any]:
    """As the proxy in front asks; redirections are answers."""
    proxied = {"Host": "shop.example.org", "X-Forwarded-Proto": "https", **headers}
    request = urllib.request.Request(f"http://127.0.0.1:{site.port}{path}", headers=proxied)
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Location", "")
    except OSError as error:
        return 0, str(error)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def titles(site: Site, text: str) -> list[str]:
    status, body = get(site, f"/api/search/?document=product&q={text}")
    assert status == 200, body
    return [item["title"] for item in json.loads(body)["results"]]


@pytest.mark.crash
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_commands_of_compose_run_a_site_with_all_its_servers(tmp_path: Path) -> None:
    """Tables are migrated, a save in one process is indexed by the worker and found by the web
    server; the schedule is kept; health checks, static files and the way to TLS work as in production."""
    cut_fixtures(tmp_path / "fixtures", every=400)
    with deployed(tmp_path, LLMREC_ENCODER=HASHING, SHOP_ENCODER=HASHING, WEB_WORKERS="1") as site:
        site.run("migrate")
        site.run("worker", "python", "-c", PREPARE)
        for service in ("web", "worker", "beat"):
            site.start(service)
        healthcheck = (ROOT / "Dockerfile").read_text().partition("HEALTHCHECK")[2].partition("CMD ")[2]
        wait_until(lambda: get(site, "/api/health/live/")[0] == 200, "an answer", lambda: site.log("web"))
        site.run("web", *json.loads(healthcheck.splitlines()[0]))
        assert get(site, "/api/health/ready/")[0] == 200
        assert get(site, "/", **{"X-Forwarded-Proto": "http"}) == (301, "https://shop.example.org/")
        assert get(site, "/", Host="elsewhere.example")[0] == 400
        page = get(site, "/")[1]
        style = re.search(r"/static/storefront/storefront\.[0-9a-f]+\.css", page)
        assert style is not None
        assert get(site, style[0])[0] == 200
        wait_until(lambda: " ready." in site.log("worker"), "the worker", lambda: site.log("worker"))
        new = "Product(code='NEW1', title='Zeppelin model kit', price=9)"
        site.run(
            "web",
            "python",
            "manage.py",
            "shell",
            "-c",
            f"from project.shop.models import Product; {new}.save()",
        )
        wait_until(
            lambda: "Zeppelin model kit" in titles(site, "zeppelin"), "indexing", lambda: site.log("worker")
        )
        wait_until((tmp_path / "beat.pid").exists, "the schedule", lambda: site.log("beat"))
        assert all(site.is_running(service) for service in ("web", "worker", "beat"))
