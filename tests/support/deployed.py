"""The site as compose.yaml describes it, started by hand: its own commands, against real servers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from tests.support import servers

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {
    "DJANGO_SECRET_KEY": "long enough to sign with, and of no use outside of this test: 8b1f2c",
    "POSTGRES_PASSWORD": "postgres-pw",
    "REDIS_PASSWORD": "redis-pw",
    "ELASTIC_PASSWORD": "elastic-pw",
    "ELASTICSEARCH_PASSWORD": "site-pw",
    "METRICS_TOKEN": "metrics-token",
}
SECURED = {
    "xpack.security.enabled": "true",
    "xpack.security.http.ssl.enabled": "false",
    "xpack.security.transport.ssl.enabled": "false",
}
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")
_PATIENCE = 120


def example() -> dict[str, str]:
    """The variables of .env.example with their values."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def variables() -> list[tuple[str, str, str]]:
    """(name, "-" or "?", default or message) of each variable that compose.yaml reads."""
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    return [(found["name"], found["kind"] or "", found["rest"] or "") for found in _VARIABLE.finditer(text)]


def compose(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """compose.yaml with the values of the environment in place, those of the example where it has none."""
    values = {**example(), **(environment or {})}
    described: dict[str, Any] = _filled(
        yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8")), values
    )
    return described


def _filled(node: Any, values: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, values) for value in node]
    if isinstance(node, str):
        return _VARIABLE.sub(lambda found: values.get(found["name"]) or _default(found), node)
    return node


def _default(found: re.Match[str]) -> str:
    return (found["rest"] or "") if found["kind"] == "-" else ""


class Site:
    """Servers and processes of one deployment; `stop` ends them all."""

    def __init__(self, folder: Path, changes: Mapping[str, str]) -> None:
        self.folder = folder
        self.port = servers.free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._servers: list[servers.Server] = []
        self.services = compose({**SECRETS, **changes})["services"]
        self.addresses: dict[str, str] = {}

    def start_servers(self) -> None:
        postgres = servers.new_postgresql()
        redis = self._redis()
        search = self._elasticsearch()
        self._servers = [postgres, redis, search]
        for server in self._servers:
            server.start(wait=False)
        for server in self._servers:
            server.start()
        self.addresses = {
            "@postgres:5432/llmrec": f"@127.0.0.1:{postgres.port}/postgres",
            "@redis:6379": f"@127.0.0.1:{redis.port}",
            "http://elasticsearch:9200": search.url,
        }

    def _redis(self) -> servers.Server:
        """With the command of the service."""
        server = servers.new_redis()
        shell, flag, command = self.services["redis"]["command"]
        command = f"{command.replace('$$', '$')} --port {server.port} --bind 127.0.0.1"
        return replace(
            server,
            command=[shell, flag, command],
            environment=self.services["redis"]["environment"],
            is_ready=self._redis_is_ready,
        )

    def _redis_is_ready(self, server: servers.Server) -> bool:
        """The health check of the service, which must also fail without the password."""
        probe = [*("sh", "-c"), f"redis-cli -p {server.port} ping | grep -q PONG"]
        return not subprocess.run(
            probe, env={**os.environ, **server.environment}, capture_output=True, check=False
        ).returncode

    def _elasticsearch(self) -> servers.Server:
        """With the command and the role of the service; the superuser's password is the image's affair."""
        server = servers.new_elasticsearch(servers.OLDEST_ELASTICSEARCH, settings=SECURED)
        shell, script, *_ = self.services["elasticsearch"]["command"]
        mounted = [volume.split(":") for volume in self.services["elasticsearch"]["volumes"][1:]]
        (scripts, _, _), (roles, there, _) = mounted
        shutil.copytree(ROOT / scripts, server.folder / "deploy")
        shutil.copy(ROOT / roles, server.folder / "config" / Path(there).name)
        servers.give_to_service_user(server.folder)
        programs = Path(server.command[1]).parent
        return replace(
            server,
            command=[shell, f"{server.folder}{script}", *server.command],
            environment={
                **server.environment,
                "PATH": f"{programs}:{os.environ['PATH']}",
                "ELASTICSEARCH_PASSWORD": self.services["elasticsearch"]["environment"][
                    "ELASTICSEARCH_PASSWORD"
                ],
            },
            is_ready=self._elasticsearch_is_ready,
        )

    def _elasticsearch_is_ready(self, server: servers.Server) -> bool:
        """The health check of the service."""
        shell = self.services["elasticsearch"]["healthcheck"]["test"][1].replace("$$", "$")
        return not subprocess.run(
            ["sh", "-c", shell.replace("http://localhost:9200", server.url)],
            env={**os.environ, **server.environment},
            capture_output=True,
            check=False,
        ).returncode

    def environment(self, service: str) -> dict[str, str]:
        """That of the service, with the addresses of this machine."""
        values = dict(os.environ) | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PORT": str(self.port),
            "LLMREC_DATA_DIR": str(self.folder / "data"),
            "STATIC_ROOT": str(self.folder / "static"),
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "DEMO_FIXTURES": str(self.folder / "fixtures"),
        }
        values.pop("CI", None)
        for name, value in self.services[service].get("environment", {}).items():
            for inside, here in self.addresses.items():
                value = value.replace(inside, here)
            values[name] = value
        return values

    def run(self, service: str, *command: str) -> str:
        """Output of a command in that service; its own one if none is given."""
        done = subprocess.run(
            command or self.services[service]["command"],
            env=self.environment(service),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
        assert done.returncode == 0, (
            f"{service} {command} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        return done.stdout

    def start(self, service: str) -> None:
        command = [part.replace("/tmp/", f"{self.folder}/") for part in self.services[service]["command"]]
        with (self.folder / f"{service}.log").open("wb") as output:
            self._processes[service] = subprocess.Popen(
                command,
                env=self.environment(service),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text(errors="replace")

    def is_running(self, service: str) -> bool:
        return self._processes[service].poll() is None

    def stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
        for server in self._servers:
            server.discard()


@contextmanager
def deployed(folder: Path, **changes: str) -> Iterator[Site]:
    """A site whose servers run, and nothing else yet; `changes` are variables of .env."""
    site = Site(folder, changes)
    try:
        with servers.obtained():
            site.start_servers()
        yield site
    finally:
        site.stop()


def wait_until(condition: Callable[[], bool], what: str, log: Callable[[], str]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen:\n{log()[-3000:]}"
        time.sleep(0.2)
