"""The HTTP encoder against a real server that behaves, and that misbehaves in every way we know."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from llmrec_plugin.contracts.encoders import EncoderContract
from llmrec_plugin.encoders import http
from llmrec_plugin.encoders.base import Encoder, EncoderSpec, load_encoder
from llmrec_plugin.encoders.hashing import HashingEncoder, Options
from llmrec_plugin.exceptions import ConfigurationError, EncoderUnavailable, InvalidVector

KEY = "sk-test-0123456789"
Answer = Callable[["Request"], object]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    path: str
    authorization: str | None
    body: dict[str, Any]


class Request(BaseHTTPRequestHandler):
    """Answers as the server's script says, then like a good server."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(Seen(self.path, self.headers["Authorization"], self.body))
        script = self.server.script
        (script.pop(0) if script else Request.embeddings)(self)

    def embeddings(self) -> None:
        size = self.body.get("dimensions", self.server.dimensions)
        vectors = HashingEncoder(Options(dimensions=size)).encode_query(self.body["input"]) * 7
        rows = [{"index": i, "embedding": vector.tolist()} for i, vector in enumerate(vectors)]
        self.reply(200, {"object": "list", "data": rows[::-1], "model": self.body["model"]})

    def reply(self, status: int, content: Any, **headers: str) -> None:
        payload = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(payload)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    dimensions = 48

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.script: list[Answer] = []
        self.requests: list[Seen] = []
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is part of these tests."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.stopped.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_FIRST_PAUSE", 0.01)


def encoder_of(server: Server, **options: Any) -> Encoder:
    options = {"model": "test", "dimensions": server.dimensions, **options}
    return load_encoder(EncoderSpec(name=server.url, options=options))


def failing(status: int, content: Any = b"", **headers: str) -> Answer:
    return lambda request: request.reply(status, content, **headers)


def rows(*vectors: Any) -> Answer:
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return failing(200, {"data": data})


class TestHttp(EncoderContract):
    @pytest.fixture
    def spec(self, server: Server) -> EncoderSpec:
        return EncoderSpec(name=server.url, options={"model": "test", "batch_size": 4, "api_key": KEY})


def test_texts_go_in_batches_with_model_prompt_and_key(server: Server) -> None:
    encoder = encoder_of(server, batch_size=2, document_prompt="passage: ", api_key=KEY)
    encoder.encode_document(["a", "b", "c"])
    assert [request.body["input"] for request in server.requests] == [
        ["passage: a", "passage: b"],
        ["passage: c"],
    ]
    assert {request.body["model"] for request in server.requests} == {"test"}
    assert {request.path for request in server.requests} == {"/v1/embeddings"}
    assert {request.authorization for request in server.requests} == {f"Bearer {KEY}"}


def test_rows_follow_their_index_and_not_their_place(server: Server) -> None:
    server.script = [
        failing(200, {"data": [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}]})
    ]
    vectors = encoder_of(server, dimensions=2).encode_document(["first", "second"])
    np.testing.assert_array_equal(vectors, [[1, 0], [0, 1]])


def test_long_texts_are_cut_and_empty_ones_are_sent_as_a_space(server: Server) -> None:
    encoder_of(server, max_characters=10).encode_document(["x" * 50, ""])
    assert server.requests[0].body["input"] == ["x" * 10, " "]


def test_dimensions_are_measured_where_they_are_not_given(server: Server) -> None:
    assert encoder_of(server, dimensions=None).dimensions == 48
    assert "dimensions" not in server.requests[0].body


def test_dimensions_are_asked_of_the_server_where_they_are_given(server: Server) -> None:
    assert encoder_of(server, dimensions=16).encode_query(["a"]).shape == (1, 16)
    assert server.requests[0].body["dimensions"] == 16


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(server: Server, status: int) -> None:
    server.script = [failing(status), failing(status)]
    assert encoder_of(server).encode_document(["a"]).shape == (1, 48)
    assert len(server.requests) == 3


def test_a_server_that_says_when_is_obeyed(server: Server) -> None:
    server.script = [failing(429, Retry_After="1")]
    started = time.monotonic()
    encoder_of(server).encode_document(["a"])
    assert time.monotonic() - started >= 1


def test_a_server_that_asks_for_too_much_patience_is_given_up(server: Server) -> None:
    server.script = [failing(503, b"come back later", Retry_After="3600")]
    with pytest.raises(EncoderUnavailable, match=r"status 503\. come back later"):
        encoder_of(server).encode_document(["a"])


def test_it_gives_up_after_the_retries(server: Server) -> None:
    server.script = [failing(500, b"out of memory")] * 9
    with pytest.raises(EncoderUnavailable, match=r"status 500\. out of memory"):
        encoder_of(server, retries=2).encode_document(["a"])
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "advice"),
    [(400, "status 400"), (401, "api_key_env"), (403, "api_key_env"), (404, "ends in /v1")],
)
def test_what_will_not_pass_is_not_tried_again(server: Server, status: int, advice: str) -> None:
    server.script = [failing(status, b"no")] * 2
    with pytest.raises(EncoderUnavailable, match=advice):
        encoder_of(server).encode_document(["a"])
    assert len(server.requests) == 1


def test_a_slow_answer_is_a_failure(server: Server) -> None:
    server.script = [lambda request: request.server.stopped.wait(5)] * 2
    with pytest.raises(EncoderUnavailable, match="Timeout"):
        encoder_of(server, timeout=0.1, retries=1).encode_document(["a"])


def test_an_answer_in_drops_is_a_failure_too(server: Server) -> None:
    def trickle(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        while not request.server.stopped.wait(0.05):
            request.wfile.write(b" ")
            request.wfile.flush()

    server.script = [trickle]
    with pytest.raises(EncoderUnavailable, match=r"longer than 0\.3 s"):
        encoder_of(server, timeout=0.3, retries=0).encode_document(["a"])


def test_a_connection_that_breaks_is_tried_again(server: Server) -> None:
    def hang_up(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b'{"data": [')
        request.close_connection = True

    server.script = [hang_up]
    assert encoder_of(server).encode_document(["a"]).shape == (1, 48)


def test_a_server_that_is_not_there_is_named(server: Server) -> None:
    gone = EncoderSpec(name="http://127.0.0.1:9/v1", options={"model": "m", "retries": 0})
    with pytest.raises(
        EncoderUnavailable, match=r"127\.0\.0\.1:9/v1/embeddings gave no vectors: ConnectError"
    ):
        load_encoder(gone)


@pytest.mark.parametrize(
    "content",
    [
        b"<html>Bad gateway</html>",
        {"data": None},
        {"error": "no"},
        [],
        {"data": [{"index": 0}]},
        {"data": [{"index": 1, "embedding": [1.0] * 48}]},
        {"data": [{"index": 0, "embedding": [1.0] * 48}, {"index": 0, "embedding": [1.0] * 48}]},
        {"data": [{"index": 0, "embedding": [1.0] * 48}, {"index": 1, "embedding": [1.0] * 48}]},
        {"data": [{"index": "a", "embedding": 7}]},
        {"data": []},
    ],
)
def test_an_answer_of_another_shape_is_a_failure(server: Server, content: Any) -> None:
    server.script = [failing(200, content)]
    with pytest.raises(EncoderUnavailable, match="did not answer with 1 vectors"):
        encoder_of(server).encode_document(["a"])


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ([1.0] * 47, "vectors of 47 numbers where 48 were expected"),
        ([0.0] * 48, "only zeros"),
        ([float("nan")] * 48, "NaN"),
        ([None] * 48, "NaN|not numbers"),
        (["a"] * 48, "not numbers"),
        ([[1.0]] * 48, "shape|not numbers"),
    ],
)
def test_what_is_no_vector_is_refused(server: Server, vector: Any, message: str) -> None:
    server.script = [rows(vector)]
    with pytest.raises(InvalidVector, match=message):
        encoder_of(server).encode_document(["a"])


def test_queries_do_not_wait_long_and_fail_at_once_after_a_failure(server: Server) -> None:
    encoder = encoder_of(server, query_timeout=0.3, timeout=10.0)
    server.script = [lambda request: request.server.stopped.wait(5)] * 9
    started = time.monotonic()
    with pytest.raises(EncoderUnavailable, match="Timeout"):
        encoder.encode_query(["a"])
    with pytest.raises(EncoderUnavailable, match="tried again in a few seconds"):
        encoder.encode_query(["a"])
    assert time.monotonic() - started < 2


def test_queries_recover(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_PAUSE_AFTER_FAILED_QUERY", 0.0)
    encoder = encoder_of(server)
    server.script = [failing(400)]
    with pytest.raises(EncoderUnavailable):
        encoder.encode_query(["a"])
    assert encoder.encode_query(["a"]).shape == (1, 48)


def test_the_key_is_in_no_message_log_id_or_repr(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.script = [failing(500, f"bad key {KEY}".encode())] * 2 + [failing(401, f"bad key {KEY}".encode())]
    encoder = encoder_of(server, api_key=KEY)
    with caplog.at_level(logging.DEBUG), pytest.raises(EncoderUnavailable) as caught:
        encoder.encode_document(["a"])
    assert "bad key ***" in str(caught.value)
    assert KEY not in caplog.text + str(caught.value) + encoder.id + repr(encoder)


def test_the_key_may_come_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDDINGS_KEY", KEY)
    encoder_of(server, api_key_env="EMBEDDINGS_KEY").encode_query(["a"])
    assert server.requests[0].authorization == f"Bearer {KEY}"


def test_a_stored_spec_finds_the_key_in_the_settings_of_the_same_url_only(server: Server) -> None:
    options = {"model": "test", "api_key": KEY}
    with override_settings(
        LLMREC={**django_settings.LLMREC, "ENCODER": server.url, "ENCODER_OPTIONS": options}
    ):
        encoder_of(server).encode_query(["a"])
    with override_settings(
        LLMREC={**django_settings.LLMREC, "ENCODER": "http://else", "ENCODER_OPTIONS": options}
    ):
        encoder_of(server, revision="2").encode_query(["a"])
    assert [request.authorization for request in server.requests] == [f"Bearer {KEY}", None]


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("http://user:pass@host/v1", {"model": "m"}, "without credentials"),
        ("http://host/v1?key=1", {"model": "m"}, "without credentials or a query"),
        ("http://", {"model": "m"}, "must be like"),
        ("http://[::1", {"model": "m"}, "must be like"),
        ("http://host:abc/v1", {"model": "m", "retries": 0}, "malformed|must be like"),
        ("http://host/v1", {}, '"model" of .* is missing'),
        ("http://host/v1", {"model": "m", "retries": -1}, "is -1; it must be a whole number of at least 0"),
        ("http://host/v1", {"model": "m", "timeout": 0}, "is 0; it must be a number of seconds above 0"),
        ("http://host/v1", {"model": "m", "api_key": "two words\n"}, "characters that no key has"),
        ("http://host/v1", {"model": "m", "api_key_env": "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE.*is not set"),
    ],
)
def test_a_misconfiguration_says_what_to_change(url: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_encoder(EncoderSpec(name=url, options=options))
    assert "two words" not in str(caught.value)


def test_the_id_covers_model_revision_and_url_but_no_way_of_asking(server: Server) -> None:
    plain = encoder_of(server).id
    assert encoder_of(server, timeout=9.0, retries=1, batch_size=3, api_key=KEY).id == plain
    assert plain.startswith("test-")
    others = [encoder_of(server, model="other").id, encoder_of(server, revision="2").id]
    assert len({plain, *others}) == 3
