"""A door in front of a real search engine that keeps a record, and at times answers in its stead."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Fault: TypeAlias = Callable[[Request], tuple[int, Any] | None]
"""The status and JSON to answer with; None: ask the engine. An OSError cuts the connection."""


@dataclass(eq=False)
class Proxy:
    url: str
    target: str
    seen: list[Request] = field(default_factory=list)
    fault: Fault | None = None
    product: str = "Elasticsearch"
    """What its own answers claim to come from."""

    def count(self, part: str) -> int:
        """Requests whose path has the part in it."""
        return sum(part in request.path for request in self.seen)


@contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    door = Proxy(f"http://127.0.0.1:{server.server_port}", target)
    server.door = door  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield door
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        door: Proxy = self.server.door  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, self.path, dict(self.headers), body)
        door.seen.append(request)
        try:
            answer = door.fault(request) if door.fault is not None else None
        except OSError:
            self.close_connection = True
            return
        if answer is None:
            self._pass_on(door.target, request)
        else:
            self._answer(*answer)

    def _answer(self, status: int, value: Any) -> None:
        kind = "application/vnd.elasticsearch+json;compatible-with=8"
        self._reply(status, json.dumps(value).encode(), kind)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _handle

    def _pass_on(self, target: str, request: Request) -> None:
        connection = http.client.HTTPConnection(urlsplit(target).netloc, timeout=60)
        try:
            headers = {key: value for key, value in request.headers.items() if key.lower() != "host"}
            connection.request(request.method, request.path, request.body, headers)
            response = connection.getresponse()
            self._reply(response.status, response.read(), response.getheader("Content-Type", "text/plain"))
        except (OSError, http.client.HTTPException) as error:
            self._answer(502, {"error": {"type": type(error).__name__, "reason": str(error)}, "status": 502})
        finally:
            connection.close()

    def _reply(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("X-Elastic-Product", self.server.door.product)  # type: ignore[attr-defined]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """The record is enough."""
