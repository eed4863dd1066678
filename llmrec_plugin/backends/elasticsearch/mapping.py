"""What an index looks like: its mapping, its settings, and how it says which schema it was made for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from llmrec_plugin.backends.elasticsearch.options import Options
from llmrec_plugin.exceptions import ConfigurationError, IndexConflict
from llmrec_plugin.types import FilterKind, IndexSchema

LAYOUT = 2
"""Raised with every change of the mapping: an index of another layout is built anew, not migrated."""

KEY, DIGEST, VECTOR, STARTS, BREADTH = "key", "digest", "vector", "starts", "breadth"

_ANALYSER = "whitespace"
_MAX_DIMENSIONS = 4096
_TYPES: Mapping[FilterKind, str] = {
    "keyword": "keyword",
    "number": "double",
    "boolean": "boolean",
    "date": "double",  # seconds since the epoch, as everywhere else
}


def name_of(field: str) -> str:
    """The field's name in the index: dots and wildcards would mean something there."""
    return quote(field, safe="").replace(".", "%2E")


def text_path(field: str) -> str:
    return f"text.{name_of(field)}"


def exact_path(field: str) -> str:
    return f"exact.{name_of(field)}"


def filter_path(field: str) -> str:
    return f"filter.{name_of(field)}"


def index_body(
    schema: IndexSchema, options: Options, *, alias: str, tombstone_seconds: int
) -> dict[str, Any]:
    """The body that makes the index; raises ConfigurationError for a quantisation that cannot be."""
    check_quantization(schema, options)
    return {
        "aliases": {alias: {"is_write_index": True}},
        "settings": _settings(options, tombstone_seconds),
        "mappings": _mappings(schema, options),
    }


def _settings(options: Options, tombstone_seconds: int) -> dict[str, Any]:
    replicas = (
        {"number_of_replicas": options.replicas}
        if isinstance(options.replicas, int)
        else {"auto_expand_replicas": options.replicas}
    )
    return {
        "index": {
            "number_of_shards": options.shards,
            **replicas,
            # Said explicitly, it also keeps shards that nobody searches from going stale.
            "refresh_interval": options.refresh_interval,
            "gc_deletes": f"{tombstone_seconds}s",
        },
    }


def _mappings(schema: IndexSchema, options: Options) -> dict[str, Any]:
    text = {"type": "text", "analyzer": _ANALYSER, "index_options": "freqs"}
    exact = {"type": "text", "analyzer": _ANALYSER, "index_options": "positions", "norms": False}
    return {
        "dynamic": "strict",
        "_meta": {"llmrec": _described(schema)},
        # Vectors are in the site's database; kept here once more they would be most of the index.
        "_source": {"excludes": [VECTOR]},
        "properties": {
            KEY: {"type": "keyword"},
            DIGEST: {"type": "keyword", "index": False},
            "text": {"properties": {name_of(field): text for field in schema.text_fields}},
            "exact": {"properties": {name_of(field): exact for field in schema.text_fields}},
            STARTS: {"type": "text", "analyzer": _ANALYSER, "index_options": "docs", "norms": False},
            BREADTH: {"type": "integer", "index": False},
            "filter": {
                "properties": {
                    name_of(field): {"type": _TYPES[kind]} for field, kind in schema.filters.items()
                }
            },
            VECTOR: {
                "type": "dense_vector",
                "dims": schema.dimensions,
                "index": True,
                "similarity": "dot_product",
                "index_options": {"type": options.quantization},
            },
        },
    }


def check_quantization(schema: IndexSchema, options: Options) -> None:
    dimensions, quantization = schema.dimensions, options.quantization
    if dimensions > _MAX_DIMENSIONS:
        raise ConfigurationError(
            f"The encoder's vectors have {dimensions} dimensions; "
            f"Elasticsearch takes {_MAX_DIMENSIONS} at most."
        )
    if (quantization == "bbq_hnsw" and dimensions < 64) or (quantization == "int4_hnsw" and dimensions % 2):
        raise ConfigurationError(
            f'LLMREC["BACKEND_OPTIONS"]["quantization"] is {quantization!r}, which cannot hold vectors of '
            f'{dimensions} dimensions: use "int8_hnsw".'
        )


def _described(schema: IndexSchema) -> dict[str, Any]:
    return {
        "layout": LAYOUT,
        "text_fields": list(schema.text_fields),
        "filters": dict(schema.filters),
        "dimensions": schema.dimensions,
        "encoder_id": schema.encoder_id,
        "analysis_id": schema.analysis_id,
    }


def read_schema(name: str, mappings: Mapping[str, Any]) -> IndexSchema:
    """The schema that the index was made for; raises IndexConflict if another program or version made it."""
    described = dict(mappings.get("_meta", {}).get("llmrec", {}))
    layout = described.pop("layout", None)
    if layout != LAYOUT:
        made_by = (
            "something else" if layout is None else f"another version of it (layout {layout}, not {LAYOUT})"
        )
        raise IndexConflict(
            f"The index {name!r} was not made by llmrec_plugin but by {made_by}: remove it, or choose "
            'another LLMREC["INDEX_PREFIX"], and run `manage.py llmrec build`.'
        )
    return IndexSchema(**{**described, "text_fields": tuple(described["text_fields"])})
