"""Parameters and bodies of requests before they mean anything: which were given, and which there are."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from django.http import QueryDict
from rest_framework.serializers import Serializer

from llmrec_plugin.analysis.text import shown
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.suggest import hint


def given(query: QueryDict) -> dict[str, list[str]]:
    """Values by parameter; an empty value, as a form sends it, counts as not given."""
    found = {name: [value for value in values if value.strip()] for name, values in query.lists()}
    for name, values in found.items():
        if any("\x00" in value for value in values) and name != "q":
            raise InvalidRequest(f'"{shown(name)}" holds a NUL character.', parameter=shown(name))
    return {name: values for name, values in found.items() if values}


@cache
def names_of(serializer_class: type[Serializer[Any]]) -> frozenset[str]:
    """The parameters that it reads; once, as each instance copies all fields deeply."""
    return frozenset(serializer_class().fields)


def refuse_unknown(names: Iterable[str], known: Iterable[str]) -> None:
    """Raises InvalidRequest for the first name that is not known, with the nearest that is."""
    known = sorted(known)
    for name in names:
        if name not in known:
            raise InvalidRequest(
                f'There is no parameter "{shown(name)}". {hint(name, known)}', parameter=shown(name)
            )


def single_document(label: str) -> str:
    """The label, or that of the only document there is; raises InvalidRequest naming them otherwise."""
    if label:
        registry.get(label)
        return label
    known = registry.labels()
    if len(known) != 1:
        raise InvalidRequest(
            f'Say which "document" is meant. Known: {", ".join(known) or "none"}.',
            parameter="document",
        )
    return known[0]


def one_or_many(data: object, *, most: int, what: str) -> list[Any]:
    """A body that is one thing or a list of them; raises InvalidRequest for more than `most`."""
    sent = data if isinstance(data, list) else [data]
    if len(sent) > most:
        raise InvalidRequest(f"At most {most} {what} at a time, not {len(sent)}.")
    return sent
