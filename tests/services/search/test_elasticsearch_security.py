"""The Elasticsearch engine against a cluster that wants a name, a password and its certificate believed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from llmrec_plugin.backends.elasticsearch import SearchBackend
from llmrec_plugin.contracts.backend_model import SCHEMA, document, unit, words
from llmrec_plugin.exceptions import BackendUnavailable
from llmrec_plugin.types import AttachedIndex, EngineQuery, Removal
from tests.support import servers
from tests.support.server_programs import Missing

NAME = "llmrec-secured"
ROLE = """
llmrec:
  cluster: [monitor]
  indices:
    - names: ["llmrec-*"]
      privileges: [manage, read, write]
attached:
  cluster: [monitor]
  indices:
    - names: ["goods*"]
      privileges: [view_index_metadata, manage, read, index]
"""
"""All that the engine needs to be allowed, in indexes of its own and in one that it is attached to."""


@pytest.fixture(scope="module")
def secured() -> Iterator[servers.Server]:
    """With a user `site` who has that role alone."""
    with servers.obtained():
        server = servers.new_elasticsearch(
            servers.OLDEST_ELASTICSEARCH,
            settings={
                "xpack.security.enabled": "true",
                "xpack.security.transport.ssl.enabled": "false",
                "xpack.security.http.ssl.enabled": "true",
                "xpack.security.http.ssl.key": "http.key",
                "xpack.security.http.ssl.certificate": "http.crt",
            },
        )
        make_certificate(server.folder / "config")
    try:
        (server.folder / "config" / "roles.yml").write_text(ROLE)
        for user, role in (("site", "llmrec"), ("guest", "attached")):
            servers.run_beside(
                server, "elasticsearch-users", "useradd", user, "-p", "secret-word", "-r", role
            )
        server.start()
        yield server
    finally:
        server.discard()


def make_certificate(folder: Path) -> None:
    if shutil.which("openssl") is None:
        raise Missing("OpenSSL: install it (apt-get install openssl)")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tests"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "http.key", "-out", "http.crt"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    servers.give_to_service_user(folder)


@pytest.mark.crash
def test_a_role_for_our_indexes_alone_is_enough_and_nothing_less_gets_in(secured: servers.Server) -> None:
    ca_certs = str(secured.folder / "config" / "http.crt")
    trusted = {"hosts": secured.url, "ca_certs": ca_certs, "refresh": True, "request_timeout": 30}
    engine = SearchBackend({**trusted, "basic_auth": ("site", "secret-word")})
    engine.check()
    engine.create_index(NAME, SCHEMA)
    assert engine.write(NAME, [document("1", "red")], [Removal(key="2", revision=1)]).written == 2
    assert engine.search(NAME, EngineQuery(text=words("red"), vector=unit(1))).total == 1
    assert list(engine.digests(NAME)) == [("1", "1 1")]
    assert (engine.index_names(), engine.count(NAME)) == ([NAME], 1)
    engine.drop_index(NAME)
    with pytest.raises(BackendUnavailable, match="refuses access"):
        SearchBackend({**trusted, "basic_auth": ("site", "guessed")}).check()
    with pytest.raises(BackendUnavailable, match="refuses access"):
        SearchBackend(trusted).check()
    with pytest.raises(BackendUnavailable, match=r"(?i)certificate"):
        SearchBackend({"hosts": secured.url, "retries": 0}).check()
    SearchBackend(
        {"hosts": secured.url, "verify_certs": False, "basic_auth": ("site", "secret-word")}
    ).check()


@pytest.mark.crash
def test_a_role_for_the_sites_index_is_enough_to_attach_to_it(secured: servers.Server) -> None:
    ca_certs = str(secured.folder / "config" / "http.crt")
    login = {"ca_certs": ca_certs, "basic_auth": ("guest", "secret-word"), "request_timeout": 30}
    with Elasticsearch(secured.url, **login) as site:  # type: ignore[arg-type]
        site.indices.create(index="goods", mappings={"properties": {"title": {"type": "text"}}})
        site.index(index="goods", id="1", document={"title": "red"})
    schema = replace(
        SCHEMA, text_fields=("title",), filters={}, attached=AttachedIndex("goods", text_fields=["title"])
    )
    server = SearchBackend({"hosts": secured.url, "refresh": True, **login})
    server.check()
    engine = server.attached(schema)
    engine.create_index(NAME, schema)
    seen = engine.observe(NAME, ["1"])["1"]
    put = replace(document("1", vector=unit(1)), terms={}, exact={}, filters={}, seen=seen)
    assert engine.write(NAME, [put]).written == 1
    query = EngineQuery(text=replace(words("red"), weights={"title": 1.0}, text="red"), vector=unit(1))
    assert engine.search(NAME, query).total == 1
    assert (list(engine.digests(NAME)), list(engine.unfilled(NAME))) == ([("1", put.digest)], [])
    engine.drop_index(NAME)
    assert engine.count(NAME) == 0
