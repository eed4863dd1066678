"""Which kinds of events browsers and apps are believed, by document."""

from __future__ import annotations

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.event_kinds import browser_kinds
from llmrec_plugin.exceptions import InvalidRequest


def sendable_kinds() -> tuple[str, ...]:
    """Return the kinds that browsers may send of some document: LLMREC["BROWSER_KINDS"], or all that are
    declared for them."""
    chosen = get_settings().BROWSER_KINDS
    return browser_kinds() if chosen is None else tuple(chosen)


def check_sender(document: str, kind: str) -> None:
    """Raise InvalidRequest for an event that the site's own rows tell: what everybody may claim would count
    beside what is true."""
    if get_settings().BROWSER_KINDS is not None:
        return
    for source in registry.interaction_sources:
        if source.document == document and kind in source.event_kinds():
            raise InvalidRequest(
                f'Browsers may not send "{kind}" of "{document}": the site\'s own rows tell it '
                f'({source.label}). LLMREC["BROWSER_KINDS"] says otherwise.',
                parameter="kind",
            )
