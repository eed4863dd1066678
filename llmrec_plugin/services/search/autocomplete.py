"""What somebody may be about to type: popular searches, and items whose titles go on as they began."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from llmrec_plugin.analysis.exact import typed_starts
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import BackendUnavailable, InvalidRequest, NotFound
from llmrec_plugin.models import Configuration
from llmrec_plugin.services.deployment.engines import asking
from llmrec_plugin.services.deployment.live import LivePair
from llmrec_plugin.services.items import filter_matching
from llmrec_plugin.services.model_registry.artefacts import learned_by
from llmrec_plugin.services.profiles.taste import UserContext
from llmrec_plugin.services.search import popular_queries
from llmrec_plugin.services.serving import popular_items, rule_application
from llmrec_plugin.services.serving.encoder_loading import serving_pair
from llmrec_plugin.services.serving.rule_application import RuleContext
from llmrec_plugin.services.serving.visible_items import title_of, url_of

logger = logging.getLogger(__name__)

PLACEMENT = "suggest"
CANDIDATES = 50
"""Items of which the most popular are suggested."""
FEW = 3
"""With fewer items than these, words that are nearly spelt so count, too."""
MOST = 20
MAX_STARTS = 8
"""Words of what was typed; who types more knows what they want."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SuggestedItem:
    document: str
    item_id: str
    title: str
    url: str = ""
    """Of the item's page; empty where its model has none."""
    object: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestions:
    """A frozen record that tells what may be meant by something half typed."""

    queries: tuple[str, ...] = ()
    """Popular searches that begin so, most popular first."""
    items: tuple[SuggestedItem, ...] = ()
    degraded: tuple[str, ...] = ()
    """("engine",) when there should have been items."""


def suggest(text: str, *, document: str, limit: int = 8) -> Suggestions:
    """Return up to `limit` searches and as many items that go on as the text begins.

    Without a text they are popular ones.

    Words may be typed in part, with a letter wrong from four on, and Chinese in pinyin. Nothing of it is
    stored. Raises NotFound for an unknown document, NotBuilt for one without a live index.
    """
    if isinstance(limit, bool) or not 1 <= limit <= MOST:
        raise InvalidRequest(f"1 to {MOST} suggestions can be had, not {limit!r}.", parameter="limit")
    declared = registry.get(document)
    configuration = Configuration.current()
    searches = popular_queries.suggested(document, text, configuration, limit=limit)
    starts = typed_starts(text)[:MAX_STARTS]
    if not starts:
        return Suggestions(queries=tuple(searches))
    pair = serving_pair(document)
    context = RuleContext(
        document=declared,
        version=pair.index_version,
        placement=PLACEMENT,
        user=UserContext(),
        now=timezone.now(),
        text=text,
    )
    rules = rule_application.active_rules(context, configuration)
    try:
        keys = [key for key in _begun(pair, starts) if key not in rules.hidden]
    except (BackendUnavailable, NotFound) as error:
        logger.error("engine unusable document=%s error=%s", document, type(error).__name__)
        return Suggestions(queries=tuple(searches), degraded=("engine",))
    allowed = filter_matching.passing(declared, keys, unless=rules.unless, version=pair.index_version)
    chosen = _most_popular([key for key in keys if key in allowed], document, pair, configuration)[:limit]
    objects = declared.in_bulk(chosen)
    return Suggestions(
        queries=tuple(searches),
        items=tuple(
            SuggestedItem(
                document=document,
                item_id=key,
                title=title_of(declared, objects[key]),
                url=url_of(declared, objects[key]),
                object=objects[key],
            )
            for key in chosen
            if key in objects
        ),
    )


def _begun(pair: LivePair, starts: Sequence[str]) -> list[str]:
    name = pair.index_version.name
    with asking(pair.index_version) as engine:
        keys = engine.suggest(name, starts, limit=CANDIDATES)
        if len(keys) < FEW:
            near = engine.suggest(name, starts, limit=CANDIDATES, fuzzy=True)
            keys = list(dict.fromkeys([*keys, *near]))
    return keys


def _most_popular(keys: Sequence[str], label: str, pair: LivePair, configuration: Configuration) -> list[str]:
    """Return the keys, the most popular first; equally popular items stay in the engine's order."""
    learned = learned_by(pair.model_version)
    known = {
        item.key: item.score
        for item in popular_items.popular(label, learned, configuration, limit=popular_items.COUNTED_ITEMS)
    }
    return sorted(keys, key=lambda key: -known.get(key, 0.0))
