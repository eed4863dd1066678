"""What ranks higher in any search, as the document declares and an editor weighs; unweighed it is free."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.models import Configuration, IndexVersion
from llmrec_plugin.ranking.stages import Cap, Prior, Stage
from llmrec_plugin.services.items import filters
from llmrec_plugin.types import Scalar

PLACES = 20
"""Of a list that a group may take only so many of: a page."""
DAY = 86_400.0

Values: TypeAlias = Mapping[str, Mapping[str, tuple[Scalar, ...]]]


def fields(
    document: SearchDocument[Any], version: IndexVersion, configuration: Configuration
) -> dict[str, str]:
    """ "date", "available" and "group" -> the filter field, of those that count and that the index holds."""
    weights = {
        "date": configuration.freshness_weight,
        "available": configuration.availability_weight,
        "group": configuration.most_per_group,
    }
    kinds = filters.kinds_of(version)
    return {
        attribute: name
        for attribute, name, kind in document.signals.kinds()
        if weights[attribute] and kinds.get(name) == kind
    }


def stages(
    document: SearchDocument[Any],
    version: IndexVersion,
    values: Values,
    configuration: Configuration,
    *,
    now: datetime,
) -> tuple[Stage, ...]:
    """The stages for these fields, with the candidates' values; an item without one counts as average."""
    named = fields(document, version, configuration)
    found: list[Stage] = []
    if "date" in named:
        half_life = configuration.freshness_half_life_days * DAY
        fresh = {
            key: 0.5 ** (max(0.0, now.timestamp() - max(map(float, dates))) / half_life)
            for key, dates in values.get(named["date"], {}).items()
        }
        found.append(Prior(fresh, configuration.freshness_weight, name="freshness"))
    if "available" in named:
        available = {key: float(any(answers)) for key, answers in values.get(named["available"], {}).items()}
        found.append(Prior(available, configuration.availability_weight, name="availability"))
    if "group" in named:
        found.append(Cap(values.get(named["group"], {}), configuration.most_per_group, PLACES))
    return tuple(found)
