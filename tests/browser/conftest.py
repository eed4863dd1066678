"""Running demo sites and a real browser; what is missing is said, and fails where CI=true."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.visits import sign_in
from tests.support.demo_files import ROOT, cut_fixtures, demo_environment, manage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Request, Response

Opener = Callable[..., "Page"]

START_SECONDS = 60
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _missing(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Closed with its module: while it is open, Django refuses database work in this thread."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        _missing("Browser tests need Chromium: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("Browser tests need playwright: pip install -r requirements-dev.txt")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo site with a cut catalogue, indexed, trained and measured; the tests serve copies of it."""
    folder = tmp_path_factory.mktemp("built")
    cut_fixtures(folder / "fixtures", every=120)
    environment = demo_environment(folder)
    manage("migrate", "--verbosity=0", environment=environment)
    evaluate = ("llmrec", "evaluate", "--document", "course")
    for command in (("load_demo",), ("llmrec", "build"), ("llmrec", "train"), evaluate):
        manage(*command, environment=environment)
    return folder


@pytest.fixture(scope="session")
def site(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a demo site for all tests that change nothing there but what their own visitor sees."""
    with served(built, tmp_path_factory.mktemp("site")) as address:
        for path in ("/", "/search/?q=christmas"):  # so that the dashboard has something to show
            visit = urllib.request.Request(f"{address}{path}", headers={"User-Agent": "Mozilla/5.0"})
            urllib.request.urlopen(visit, timeout=30).close()
        yield address


@pytest.fixture(scope="module")
def own_site(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a demo site for the tests of one module alone, which may change what all visitors see."""
    with served(built, tmp_path_factory.mktemp("own_site")) as address:
        yield address


@contextmanager
def served(built: Path, folder: Path, *, settings: str = "project.settings") -> Iterator[str]:
    """A copy of the demo site in `folder`, served as `make demo` serves it."""
    shutil.copytree(built, folder, dirs_exist_ok=True)
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "runserver", "--noreload", f"127.0.0.1:{port}"],
            env={**demo_environment(folder), "DJANGO_SETTINGS_MODULE": settings},
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_for(address, server)
            yield address
        finally:
            server.terminate()
            server.wait(timeout=20)


@pytest.fixture
def open_page(browser: Browser, site: str) -> Iterator[Opener]:
    """Opens a path of the site as a new visitor; asserts that nothing broke and nobody else was asked."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def check_request(request: Request) -> None:
        if not request.url.startswith(site):
            complaints.append(f"asked {request.url}")

    def check_response(response: Response) -> None:
        if response.status >= 500:
            complaints.append(f"{response.status} at {response.url}")

    def opened(path: str, **options: Any) -> Page:
        context = browser.new_context(base_url=site, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", check_request)
        page.on("response", check_response)
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def console(open_page: Opener) -> Opener:
    """Opens a path of the site as an editor."""

    def opened(path: str, **options: Any) -> Page:
        page = open_page("/", **options)
        sign_in(page, path)
        return page

    return opened


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, "the demo site stopped while it was starting"
        try:
            with urllib.request.urlopen(f"{address}/api/health/live/", timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"the demo site did not answer within {START_SECONDS} s")
