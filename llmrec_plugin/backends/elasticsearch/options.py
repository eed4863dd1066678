"""LLMREC["BACKEND_OPTIONS"] of this engine, validated; an unknown key is an error naming the nearest one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

from llmrec_plugin.backends.validation import check_options
from llmrec_plugin.exceptions import ConfigurationError

Quantization: TypeAlias = Literal["int8_hnsw", "hnsw", "int4_hnsw", "bbq_hnsw", "flat"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)

_OVERSAMPLE: Mapping[Quantization, float] = {"int8_hnsw": 2.0, "int4_hnsw": 2.0, "bbq_hnsw": 3.0}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Every key with its default."""

    hosts: str | Sequence[str] = "http://localhost:9200"
    """URL of the cluster, or of several of its nodes."""
    api_key: str | tuple[str, str] | None = None
    """Encoded, or (id, key)."""
    basic_auth: tuple[str, str] | None = None
    """(user, password)."""
    ca_certs: str | None = None
    """File of the certificates that sign the cluster's."""
    verify_certs: bool = True
    compress: bool = False
    """Requests travel compressed: for clusters that are far away."""
    connections: int = 16
    """Kept open per node and process."""
    request_timeout: float = 5.0
    """Seconds for a search."""
    write_timeout: float = 60.0
    """Seconds for a write, and for one step of a walk over the whole index."""
    retries: int = 3
    """How often a request that the cluster had no time for (429, 502, 503), or a node did not answer, is
    tried again."""
    index_prefix: str = ""
    """In front of the names of indexes, for clusters whose roles and policies go by name."""
    shards: int = 1
    replicas: int | str = "0-1"
    """A number, or a range that follows the number of nodes."""
    refresh_interval: str = "1s"
    """How long a write may take to be visible to searches."""
    refresh: bool | str = False
    """Of each write: True makes it visible at once, "wait_for" returns when it is."""
    quantization: Quantization = "int8_hnsw"
    """How vectors are kept for the graph search: "hnsw" in full, "int8_hnsw" in a quarter of the memory,
    "int4_hnsw" in an eighth, "bbq_hnsw" (64 dimensions or more) in a thirtieth; "flat" has no graph."""
    oversample: float | None = None
    """How many times the wanted number of quantised candidates is scored in full; None: what suits the
    quantisation."""
    chunk_bytes: int = 5_000_000
    """Size of a bulk request."""

    @property
    def rescored(self) -> float | None:
        """None: nothing is quantised."""
        if self.quantization not in _OVERSAMPLE:
            return None
        return _OVERSAMPLE[self.quantization] if self.oversample is None else float(self.oversample)


def read_options(given: Mapping[str, Any]) -> Options:
    """Raises ConfigurationError naming the key and what it may be."""
    check_options(given, (field.name for field in fields(Options)), engine="Elasticsearch")
    for name, value in given.items():
        if name in _RULES:
            is_right, expected = _RULES[name]
            if not is_right(value):
                shown = "wrong" if name in _SECRET else repr(value)
                raise ConfigurationError(
                    f'LLMREC["BACKEND_OPTIONS"]["{name}"] is {shown}; it must be {expected}.'
                )
    if given.get("api_key") and given.get("basic_auth"):
        raise ConfigurationError('LLMREC["BACKEND_OPTIONS"]: give "api_key" or "basic_auth", not both.')
    return Options(**given)


def _is_number(value: object, least: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value < float("inf")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and _is_number(value, least)


def _are_hosts(value: object) -> bool:
    hosts = [value] if isinstance(value, str) else value
    return (
        isinstance(hosts, Sequence)
        and bool(hosts)
        and all(isinstance(host, str) and host.startswith(("http://", "https://")) for host in hosts)
    )


def _is_pair(value: object) -> bool:
    return isinstance(value, (tuple, list)) and [type(part) for part in value] == [str, str]


def _is_prefix(value: object) -> bool:
    return isinstance(value, str) and value == value.lower() and not value.startswith(("-", "_", "+"))


_SECRET = {"api_key", "basic_auth"}
_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "hosts": (_are_hosts, 'a URL such as "https://search.example.org:9200", or a list of them'),
    "api_key": (
        lambda value: value is None or isinstance(value, str) or _is_pair(value),
        "the encoded key, or (id, key)",
    ),
    "basic_auth": (lambda value: value is None or _is_pair(value), "(user, password)"),
    "verify_certs": (lambda value: isinstance(value, bool), "True or False"),
    "compress": (lambda value: isinstance(value, bool), "True or False"),
    "connections": (lambda value: _is_whole(value, 1), "a whole number above 0"),
    "request_timeout": (lambda value: _is_number(value, 0.001), "seconds, above 0"),
    "write_timeout": (lambda value: _is_number(value, 0.001), "seconds, above 0"),
    "retries": (lambda value: _is_whole(value, 0), "a whole number, 0 or more"),
    "index_prefix": (_is_prefix, "lower-case and start with a letter or digit"),
    "shards": (lambda value: _is_whole(value, 1), "a whole number above 0"),
    "replicas": (
        lambda value: _is_whole(value, 0) or isinstance(value, str),
        'a whole number, 0 or more, or a range such as "0-1"',
    ),
    "refresh_interval": (lambda value: isinstance(value, str), 'a time such as "1s"'),
    "refresh": (lambda value: value in (True, False, "wait_for"), 'True, False or "wait_for"'),
    "quantization": (lambda value: value in QUANTIZATIONS, f"one of {', '.join(QUANTIZATIONS)}"),
    "oversample": (
        lambda value: value is None or (_is_number(value, 1) and value <= 10),
        "a number from 1 to 10",
    ),
    "chunk_bytes": (lambda value: _is_whole(value, 1), "a number of bytes, above 0"),
}
