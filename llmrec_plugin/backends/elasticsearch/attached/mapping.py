"""What the site's index gains, and what is asked of it before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from llmrec_plugin.backends.elasticsearch.attached.queries import Fields
from llmrec_plugin.backends.elasticsearch.mapping import check_quantization
from llmrec_plugin.backends.elasticsearch.options import Options
from llmrec_plugin.exceptions import ConfigurationError, IndexConflict, NotFound
from llmrec_plugin.types import FilterKind, IndexSchema

_NUMBERS = {
    "byte", "short", "integer", "long", "unsigned_long", "half_float", "float", "double", "scaled_float",
}  # fmt: skip
_KEYWORDS = {"keyword", "constant_keyword", "ip", "boolean", *_NUMBERS}
_FITTING: Mapping[FilterKind, set[str]] = {
    "keyword": _KEYWORDS,
    "number": _NUMBERS,
    "boolean": {"boolean"},
    "date": {"date", "date_nanos"},
}
_TEXTS = {"text", "keyword", "constant_keyword", "match_only_text", "search_as_you_type"}


@dataclass(frozen=True)
class Found:
    """The site's index as it is."""

    physical: str
    mappings: Mapping[str, Any]
    aliases: Collection[str]


def read(client: Elasticsearch, index: str) -> Found:
    """The index that a name or alias stands for, in one request; NotFound if there is none,
    ConfigurationError if there are several, or it is of a kind that nothing can be added to."""
    answer = client.options(ignore_status=404).indices.get(index=index, features=["aliases", "mappings"])
    if answer.meta.status == 404 or not answer.body:
        raise NotFound(
            f"There is no index {index!r} in Elasticsearch: the site makes it, for example with "
            "`manage.py search_index --create`, and llmrec_plugin only adds to it."
        )
    if len(answer.body) > 1:
        raise ConfigurationError(
            f"{index!r} stands for {len(answer.body)} indexes ({', '.join(sorted(answer.body))}); "
            "an AttachedIndex must be one."
        )
    ((physical, about),) = answer.body.items()
    _check_kept(index, about["mappings"])
    return Found(str(physical), about["mappings"], set(about["aliases"]))


def _check_kept(index: str, mappings: Mapping[str, Any]) -> None:
    """Partial updates read the document back; routed documents cannot be read by their id alone."""
    if mappings.get("_source", {}).get("enabled") is False:
        raise ConfigurationError(f"The index {index!r} keeps no _source, so it cannot be added to.")
    if mappings.get("_routing", {}).get("required"):
        raise ConfigurationError(f"The documents of {index!r} are routed, which AttachedIndex cannot do.")


def check_fields(client: Elasticsearch, physical: str, schema: IndexSchema) -> None:
    """Raises ConfigurationError for declared fields that the index does not have, or not in a usable type."""
    fields = Fields(own="", schema=schema)
    weights = dict.fromkeys(schema.text_fields, 1.0)
    texts = [text.partition("^")[0] for text in fields.text(weights)]
    filters = {name: fields.filter(name) for name in schema.filters}
    types = _types(client, physical, [*texts, *filters.values()])
    for text in texts:
        if "*" not in text and not types.get(text, set()) & _TEXTS:
            raise ConfigurationError(
                f"AttachedIndex.text_fields names {text!r}, which {physical!r} {_has(types.get(text))}."
            )
    for name, path in filters.items():
        kind = schema.filters[name]
        if not types.get(path, set()) & _FITTING[kind]:
            raise ConfigurationError(
                f"The filter field {name!r} ({kind}) is read from {path!r}, which {physical!r} "
                f"{_has(types.get(path))}: name the right one in "
                f'AttachedIndex(filters={{"{name}": …}}), or leave it out of filter_fields.'
            )


def _types(client: Elasticsearch, physical: str, paths: Sequence[str]) -> dict[str, set[str]]:
    if not paths:
        return {}
    answer = client.field_caps(index=physical, fields=list(paths))
    return {path: set(about) for path, about in answer["fields"].items()}


def _has(types: set[str] | None) -> str:
    return f"has as {', '.join(sorted(types))}" if types else "does not have"


def add(client: Elasticsearch, found: Found, fields: Fields, options: Options, *, suffix: str) -> None:
    """Add the field and the alias where they are not there yet; nothing else of the index is touched."""
    existing = found.mappings.get("properties", {}).get(fields.own)
    if existing is None:
        check_quantization(fields.schema, options)
        client.indices.put_mapping(index=found.physical, properties={fields.own: _property(fields, options)})
    elif existing.get("properties", {}).get("vector", {}).get("dims") != fields.schema.dimensions:
        raise IndexConflict(
            f"The index {found.physical!r} has a field {fields.own!r} that holds something else."
        )
    if found.physical + suffix not in found.aliases:
        client.indices.put_alias(index=found.physical, name=found.physical + suffix)


def _property(fields: Fields, options: Options) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "key": {"type": "keyword"},
            "digest": {"type": "keyword", "index": False},
            "revision": {"type": "long", "index": False},
            "vector": {
                "type": "dense_vector",
                "dims": fields.schema.dimensions,
                "index": True,
                "similarity": "dot_product",
                "index_options": {"type": options.quantization},
            },
        },
    }
