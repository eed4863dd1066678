"""Real servers for the tests: each starts at its first use, on a free port and an empty folder, and ends with
the process.

    server = elasticsearch("8.19.9")        # .url
    server.stop(), server.start()           # an outage; data and port stay

Where a server cannot be had, the test is skipped with what to install; with CI=true it fails.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.support.server_programs import Missing, elasticsearch_home, java_home, postgresql_programs

CLIENT = int(metadata.version("elasticsearch").split(".")[0])
"""Series of the client that is installed: one of 8 speaks to both servers, one of 9 to that of series 9."""
ELASTICSEARCH_VERSIONS = ("8.19.9", "9.2.8") if CLIENT == 8 else ("9.2.8",)
OLDEST_ELASTICSEARCH = ELASTICSEARCH_VERSIONS[0]

_HEAP = "512m"
_START_SECONDS = 180
_STOP_SECONDS = 30


@dataclass(eq=False)
class Server:
    """A server process that can be ended and started again over the same data and port."""

    name: str
    command: Sequence[str]
    port: int
    url: str
    folder: Path
    is_ready: Callable[[Server], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start it if it does not run; with `wait`, return once it answers."""
        if self.process is None or self.process.poll() is not None:
            with (self.folder / "output.log").open("ab") as output:
                self.process = subprocess.Popen(
                    self.command,
                    cwd=self.folder,
                    env={**_environment(), "HOME": str(self.folder), **self.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    **_as_service_user(),
                )
        if wait:
            self._wait_until_ready(self.process)

    def stop(self, *, kill: bool = False) -> None:
        """End the process and its children; with `kill`, without a chance to tidy up."""
        process, self.process = self.process, None
        if process is None:
            return
        _signal_group(process, signal.SIGKILL if kill else signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _signal_group(process, signal.SIGKILL)
            process.wait()

    def freeze(self) -> None:
        """From now on it takes connections, as the system does that for it, and says nothing."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGCONT)

    def discard(self) -> None:
        """Stop it and delete its data."""
        self.stop(kill=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_ready(self):
            if process.poll() is not None or time.monotonic() > deadline:
                written = (self.folder / "output.log").read_text(errors="replace")[-3000:]
                self.stop(kill=True)
                raise RuntimeError(f"{self.name} did not start:\n{written}")
            time.sleep(0.2)


def elasticsearch(version: str) -> Server:
    """A running Elasticsearch of that version, shared by all tests of this process."""
    return _shared(f"Elasticsearch {version}", lambda: new_elasticsearch(version))


def redis() -> Server:
    """A running Redis, shared by all tests of this process."""
    return _shared("Redis", new_redis)


def postgresql() -> Server:
    """A running PostgreSQL, shared by all tests of this process; its url names a superuser and a database."""
    return _shared("PostgreSQL", new_postgresql)


def new_elasticsearch(version: str, *, settings: Mapping[str, str] | None = None) -> Server:
    """An Elasticsearch of the caller's own, not started yet; `settings` add to elasticsearch.yml."""
    java = java_home(version)
    home = elasticsearch_home(version)
    port, transport = free_port(), free_port()
    folder = _new_folder(f"elasticsearch-{version}")
    config = folder / "config"
    shutil.copytree(home / "config", config)
    (folder / "tmp").mkdir()
    lines = {
        "cluster.name": f"llmrec-tests-{port}",
        "discovery.type": "single-node",
        "network.host": "127.0.0.1",
        "http.port": str(port),
        "transport.port": str(transport),
        "path.data": str(folder / "data"),
        "path.logs": str(folder / "logs"),
        "xpack.security.enabled": "false",
        # a full disk of the build machine is not what these tests are about
        "cluster.routing.allocation.disk.threshold_enabled": "false",
        **(settings or {}),
    }
    (config / "elasticsearch.yml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    give_to_service_user(folder)
    return Server(
        name=f"Elasticsearch {version}",
        command=["bash", str(home / "bin" / "elasticsearch")],
        port=port,
        url=f"{'https' if lines.get('xpack.security.http.ssl.enabled') == 'true' else 'http'}://127.0.0.1:{port}",
        folder=folder,
        is_ready=_has_healthy_cluster,
        environment={
            "ES_JAVA_HOME": str(java),
            "ES_PATH_CONF": str(config),
            "ES_JAVA_OPTS": f"-Xms{_HEAP} -Xmx{_HEAP}",
            # apart from the configuration, which Elasticsearch guards against writes
            "ES_TMPDIR": str(folder / "tmp"),
        },
    )


def new_redis() -> Server:
    """A Redis of the caller's own, not started yet; it keeps its data over a restart."""
    program = shutil.which("redis-server")
    if program is None:
        raise Missing("Redis: install redis-server (apt-get install redis-server)")
    port = free_port()
    folder = _new_folder("redis")
    give_to_service_user(folder)
    return Server(
        name="Redis",
        command=[program, "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes"],
        port=port,
        url=f"redis://127.0.0.1:{port}/0",
        folder=folder,
        is_ready=_answers_ping,
    )


def new_postgresql() -> Server:
    """A PostgreSQL of the caller's own, not started yet."""
    programs = postgresql_programs()
    folder = _new_folder("postgresql")
    give_to_service_user(folder)
    data = folder / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "llmrec", "-A", "trust", "-E", "UTF8", "--no-sync"],
        cwd=folder,
        env={**_environment(), "HOME": str(folder), "LC_ALL": "C.UTF-8"},
        check=True,
        stdout=subprocess.DEVNULL,
        **_as_service_user(),
    )
    port = free_port()
    return Server(
        name="PostgreSQL",
        command=[
            *(str(programs / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", ""),
            *("-c", "fsync=off", "-c", "max_connections=200"),
        ],
        port=port,
        url=f"postgresql://llmrec@127.0.0.1:{port}/postgres",
        folder=folder,
        is_ready=lambda server: _accepts_queries(server, programs),
    )


@contextlib.contextmanager
def obtained() -> Iterator[None]:
    """Skips the test where a server cannot be had, or fails it with CI=true."""
    try:
        yield
    except Missing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


def run_beside(server: Server, program: str, *arguments: str) -> None:
    """One of Elasticsearch's own programs, on the configuration of that server."""
    subprocess.run(
        ["bash", str(Path(server.command[1]).with_name(program)), *arguments],
        cwd=server.folder,
        env={**_environment(), "HOME": str(server.folder), **server.environment},
        check=True,
        capture_output=True,
        **_as_service_user(),
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_running: dict[str, Server] = {}
_missing: dict[str, str] = {}


def site_answers(port: int) -> bool:
    """Whether a web server of a site of ours answers there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health/live/", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _shared(name: str, make: Callable[[], Server]) -> Server:
    if name not in _running and name not in _missing:
        try:
            server = make()
        except Missing as error:
            _missing[name] = str(error)
        else:
            atexit.register(_discard_in, os.getpid(), server)
            server.start()
            _running[name] = server
    with obtained():
        if name in _missing:
            raise Missing(_missing[name])
    server = _running[name]
    server.start()
    return server


def _discard_in(process: int, server: Server) -> None:
    """A forked child must not end its parent's servers."""
    if os.getpid() == process:
        server.discard()


def _environment() -> dict[str, str]:
    """Without what is meant for the tests' own interpreter or another Java."""
    return {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}


def _service_user() -> pwd.struct_passwd | None:
    """None: the tests' own user will do. Elasticsearch and PostgreSQL refuse to run as root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _as_service_user() -> dict[str, Any]:
    user = _service_user()
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def give_to_service_user(folder: Path) -> None:
    user = _service_user()
    if user is not None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)


def _new_folder(name: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"llmrec-{name}-"))


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _has_healthy_cluster(server: Server) -> bool:
    url = f"{server.url}/_cluster/health?wait_for_status=yellow&timeout=1s"
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=5, context=unverified) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 401  # it wants to know who asks, hence it is up
    except OSError:
        return False


def _answers_ping(server: Server) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _accepts_queries(server: Server, programs: Path) -> bool:
    probe = [str(programs / "psql"), "-X", "-q", "-d", server.url, "-c", "SELECT 1"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _run_one(kind: str, *arguments: str) -> None:
    makers: dict[str, Callable[..., Server]] = {
        "elasticsearch": new_elasticsearch,
        "redis": new_redis,
        "postgresql": new_postgresql,
    }
    server = makers[kind](*arguments)
    try:
        server.start()
        print(server.url, flush=True)
        signal.pause()
    finally:
        server.discard()


if (
    __name__ == "__main__"
):  # `python -m tests.support.servers elasticsearch 8.19.9`: run one until it is interrupted
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    _run_one(*sys.argv[1:])
