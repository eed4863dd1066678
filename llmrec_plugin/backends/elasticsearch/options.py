"""LLMREC["BACKEND_OPTIONS"] of this engine, validated; an unknown key is an error naming the nearest one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, get_args

from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.options import SECRET, Positive, Rule, Seconds, at_least, between

Quantization: TypeAlias = Literal["int8_hnsw", "hnsw", "int4_hnsw", "bbq_hnsw", "flat"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)

_HOSTS = 'a URL such as "https://search.example.org:9200", or a list of them'
_OVERSAMPLE: Mapping[Quantization, float] = {"int8_hnsw": 2.0, "int4_hnsw": 2.0, "bbq_hnsw": 3.0}


def _are_hosts(value: str | Sequence[str]) -> bool:
    hosts = [value] if isinstance(value, str) else value
    return bool(hosts) and all(host.startswith(("http://", "https://")) for host in hosts)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Every key with its default."""

    hosts: Annotated[str | Sequence[str], Rule(_are_hosts, ""), SECRET, _HOSTS] = "http://localhost:9200"
    """URL of the cluster, or of several of its nodes."""
    api_key: Annotated[str | tuple[str, str] | None, SECRET, "the encoded key, or (id, key)"] = None
    """Encoded, or (id, key)."""
    basic_auth: Annotated[tuple[str, str] | None, SECRET, "(user, password)"] = None
    """(user, password)."""
    ca_certs: str | None = None
    """File of the certificates that sign the cluster's."""
    verify_certs: bool = True
    compress: bool = False
    """Requests travel compressed: for clusters that are far away."""
    connections: Positive = 16
    """Kept open per node and process."""
    request_timeout: Seconds = 5.0
    """Seconds for a search."""
    write_timeout: Seconds = 60.0
    """Seconds for a write, and for one step of a walk over the whole index."""
    retries: Annotated[int, at_least(0)] = 3
    """How often a request that the cluster had no time for (429, 502, 503), or a node did not answer, is
    tried again."""
    shards: Positive = 1
    replicas: Annotated[int, at_least(0)] | Annotated[str, 'a range such as "0-1"'] = "0-1"
    """A number, or a range that follows the number of nodes."""
    refresh_interval: str = "1s"
    """How long a write may take to be visible to searches."""
    refresh: bool | Literal["wait_for"] = False
    """Of each write: True makes it visible at once, "wait_for" returns when it is."""
    quantization: Quantization = "int8_hnsw"
    """How vectors are kept for the graph search: "hnsw" in full, "int8_hnsw" in a quarter of the memory,
    "int4_hnsw" in an eighth, "bbq_hnsw" (64 dimensions or more) in a thirtieth; "flat" has no graph."""
    oversample: Annotated[float, between(1, 10)] | None = None
    """How many times the wanted number of quantised candidates is scored in full; None: what suits the
    quantisation."""
    chunk_bytes: Positive = 5_000_000
    """Size of a bulk request."""

    def __post_init__(self) -> None:
        if self.api_key and self.basic_auth:
            raise ConfigurationError('LLMREC["BACKEND_OPTIONS"]: give "api_key" or "basic_auth", not both.')

    @property
    def rescored(self) -> float | None:
        """None: nothing is quantised."""
        if self.quantization not in _OVERSAMPLE:
            return None
        return _OVERSAMPLE[self.quantization] if self.oversample is None else float(self.oversample)
