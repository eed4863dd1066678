"""The client at the edge: one per process, and its errors turned into ours."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

from elastic_transport import NodeConfig
from elasticsearch import ApiError, ConnectionTimeout, Elasticsearch, TransportError
from elasticsearch.exceptions import UnsupportedProductError

from llmrec_plugin.backends.elasticsearch.options import Options
from llmrec_plugin.exceptions import BackendUnavailable, NotFound

BUSY = (429, 502, 503, 504)
"""Statuses of a cluster that has no time, no room or no primary at the moment."""

PAUSE_SECONDS = 2.0
"""For which searches do without a cluster that let one of them wait in vain."""

_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, AssertionError)
"""What reading an answer of another shape comes to."""
_LOST_CONTEXT = "search_context_missing_exception"
_MISSING_INDEX = "index_not_found_exception"


class Connection:
    """Hands out the process's client: sockets that a fork copied would mix up two processes' answers."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._process = os.getpid()
        self._clients = [_client(options)]
        self._lock = Lock()
        self._silent_until = 0.0

    @property
    def client(self) -> Elasticsearch:
        if self._process != os.getpid():
            # The parent's stays in the list: collecting it would close what the parent still uses.
            self._clients.append(_client(self._options))
            self._process = os.getpid()
        return self._clients[-1]

    @contextmanager
    def while_visitors_wait(self) -> Iterator[None]:
        """For searches: while the cluster says nothing, one in PAUSE_SECONDS waits for it, and the others
        raise BackendUnavailable at once instead of holding up all processes of the site."""
        with self._lock:
            if self._silent_until > time.monotonic():
                raise BackendUnavailable(
                    "Elasticsearch let a search wait in vain and is asked again in a moment."
                )
            asks_again = self._silent_until > 0.0
            if asks_again:
                self._silent_until = time.monotonic() + PAUSE_SECONDS
        try:
            yield
        except (BackendUnavailable, NotFound) as error:
            if isinstance(error.__cause__, ConnectionTimeout):
                self._silent_until = time.monotonic() + PAUSE_SECONDS
            elif not isinstance(error.__cause__, TransportError):  # a refusal is an answer
                self._silent_until = 0.0
            raise
        if asks_again:
            self._silent_until = 0.0

    def close(self) -> None:
        if self._process == os.getpid():
            self._clients[-1].close()


def _client(options: Options) -> Elasticsearch:
    """It asks nothing by itself: no sniffing, no greeting."""
    security: dict[str, Any] = {}
    if options.ca_certs is not None:
        security["ca_certs"] = options.ca_certs
    if not options.verify_certs:
        security |= {"verify_certs": False, "ssl_show_warn": False}
    hosts = [options.hosts] if isinstance(options.hosts, str) else list(options.hosts)
    if not any(host.startswith("https://") for host in hosts):
        security = {}
    nodes: Sequence[str | Mapping[str, str | int] | NodeConfig] = [_with_port(host) for host in hosts]
    return Elasticsearch(
        nodes,
        api_key=_pair(options.api_key),
        basic_auth=_pair(options.basic_auth),
        connections_per_node=options.connections,
        http_compress=options.compress,
        request_timeout=options.request_timeout,
        max_retries=options.retries,
        # One that took too long is not repeated: whoever waits has waited long enough.
        retry_on_timeout=False,
        retry_on_status=BUSY[1:],
        **security,
    )


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _with_port(host: str) -> str:
    """The client wants every port named."""
    scheme, _, rest = host.partition("://")
    authority, slash, path = rest.partition("/")
    if not authority.rpartition("]")[2].rpartition("@")[2].partition(":")[2]:
        authority += ":443" if scheme == "https" else ":80"
    return f"{scheme}://{authority}{slash}{path}"


@contextmanager
def translated(name: str = "") -> Iterator[None]:
    """Raises NotFound for an index that is not there, BackendUnavailable for all else that goes wrong, an
    answer that is not the awaited one included: what stands between us and the cluster may speak, too."""
    try:
        yield
    except _UNREADABLE as error:
        raise BackendUnavailable(
            "What answers at the configured hosts did not send what Elasticsearch would have: look at the "
            "proxy or load balancer between."
        ) from error
    except UnsupportedProductError as error:
        raise BackendUnavailable(
            f"What answers at the configured hosts is no Elasticsearch: {error}"
        ) from error
    except ApiError as error:
        raise failure(error.status_code, error.body, name) from error
    except TransportError as error:
        raise BackendUnavailable(f"Elasticsearch does not answer: {error.message or error}") from error


def failure(status: int, body: Any, name: str) -> NotFound | BackendUnavailable:
    """Our error for a refused request, or for one refused part of several."""
    kind, reason = _reason(body)
    if status == 404 and kind == _MISSING_INDEX:
        return NotFound(f"There is no index {name!r} in Elasticsearch.")
    if kind == _LOST_CONTEXT:
        return BackendUnavailable("Elasticsearch no longer knows the reading that was under way; start anew.")
    if status in (401, 403):
        return BackendUnavailable(
            f"Elasticsearch refuses access ({reason}): check api_key or basic_auth in "
            'LLMREC["BACKEND_OPTIONS"] and the privileges behind them.'
        )
    return BackendUnavailable(f"Elasticsearch answered with status {status}: {reason}.")


def _reason(body: Any) -> tuple[str, str]:
    """(type, reason) of the deepest cause that is told."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(error, Mapping):
        return "", str(error)[:500]
    causes = error.get("root_cause") or [error]
    kind = str(causes[0].get("type", error.get("type", "")))
    return kind, f"{kind}: {str(causes[0].get('reason') or error.get('reason'))[:500]}"
