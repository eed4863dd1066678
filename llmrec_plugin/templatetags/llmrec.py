"""Draws lists in any template, and the script that reports what becomes of them.

{% load llmrec %}
{% recommend "for-you" document="product" title="For you" %}
{% similar product as like_this %}{% for item in like_this %}…{% endfor %}
{% llmrec_script view=product %}
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from django import template
from django.conf import settings
from django.db.models import Model
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template.context import Context
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, URLResolver, get_resolver, get_urlconf, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from llmrec_plugin import shortcuts
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import ItemNotFound
from llmrec_plugin.services.coordination import caches, site_code
from llmrec_plugin.services.serving.visible_items import url_of
from llmrec_plugin.types import ResultItem, ResultPage

__all__ = [
    "RenderedList",
    "also_bought",
    "llmrec_item",
    "llmrec_script",
    "llmrec_url",
    "recommend",
    "similar",
]

logger = logging.getLogger(__name__)
register = template.Library()

LIST_TEMPLATE = "llmrec/list.html"
API = "llmrec"
"""`app_name` of `llmrec_plugin.api.urls`."""
REPORTED_TO = {
    "interactions": "interactions",
    "impressions": "impressions",
    "me": "me",
    "me_consent": "me-consent",
}
_told: caches.LatestUsed[str, bool] = caches.LatestUsed(1000)
"""What the log has been told once."""


@dataclass(frozen=True, kw_only=True)
class RenderedList:
    """A list that a template has: loop over it, or print it to have it drawn by its template."""

    page: ResultPage | None
    """None: it could not be had, which the log tells."""
    title: str = ""
    template: str = LIST_TEMPLATE
    request: HttpRequest | None = None
    """Whose context processors the template has."""

    def __iter__(self) -> Iterator[ResultItem]:
        return iter(self.page.results if self.page else ())

    def __len__(self) -> int:
        return len(self.page.results) if self.page else 0

    @property
    def objects(self) -> list[Any]:
        """Return the site's own rows, in rank order."""
        return [item.object for item in self]

    def __str__(self) -> SafeString:
        if not self:
            return SafeString("")
        return render_to_string(self.template, {"list": self, "page": self.page}, request=self.request)

    __html__ = __str__


@register.simple_tag(takes_context=True)
def recommend(
    context: Context,
    placement: str,
    document: str | None = None,
    *,
    item: Any = None,
    basket: Any = None,
    limit: int | None = None,
    title: str = "",
    template: str = LIST_TEMPLATE,
) -> RenderedList:
    """Return what a placement shows the visitor; nothing at all where it cannot be had.

    `basket`: the items that lie in it, or their primary keys."""
    request = context.get("request")
    ask = partial(
        shortcuts.recommend, placement, document, request=request, item=item, basket=basket, limit=limit
    )
    return _rendered(ask, title=title, template=template, request=request)


@register.simple_tag(takes_context=True)
def similar(
    context: Context, item: Model, *, limit: int | None = None, title: str = "", template: str = LIST_TEMPLATE
) -> RenderedList:
    """Return items like this one; nothing for one that visitors do not find, such as a draft."""
    request = context.get("request")
    ask = partial(shortcuts.similar, item, request=request, limit=limit)
    return _rendered(ask, title=title, template=template, request=request)


@register.simple_tag(takes_context=True)
def also_bought(
    context: Context, item: Model, *, limit: int | None = None, title: str = "", template: str = LIST_TEMPLATE
) -> RenderedList:
    """Return what people who took this item took as well; nothing for one that visitors do not find."""
    request = context.get("request")
    ask = partial(shortcuts.also_bought, item, request=request, limit=limit)
    return _rendered(ask, title=title, template=template, request=request)


def _rendered(
    ask: Callable[[], ResultPage], *, title: str, template: str, request: HttpRequest | None
) -> RenderedList:
    """Return the list; one that cannot be had takes no page down; a mistake in the template is shown while
    DEBUG is on."""
    try:
        page = ask()
    except ItemNotFound as error:  # no mistake: a variant, a draft's preview, what staff alone can see
        if _told.get(str(error)) is None:
            _told.put(str(error), True)
            logger.info("list left out: %s", error)
        return RenderedList(page=None)
    except Exception as error:
        if settings.DEBUG:
            raise
        logger.warning("list left out: %s", site_code.described(error))
        return RenderedList(page=None)
    return RenderedList(page=page, title=title, template=template, request=request)


@register.simple_tag(takes_context=True)
def llmrec_script(
    context: Context, *, view: Model | None = None, clicks: bool = True, nonce: str = ""
) -> SafeString:
    """Return the script that reports clicks, what came into view and, with `view`, that this item's page was
    opened.

    `clicks=False`: a site that records the opening of pages itself needs no clicks. `nonce`: of the site's
    content security policy. Nothing is written while the plugin is off or stores no
    events at all.
    """
    active = get_settings()
    if not active.ENABLED or active.CONSENT == "off":
        return SafeString("")
    request = context.get("request")
    return SafeString(
        render_to_string(
            "llmrec/script.html",
            {
                "urls": {key: _address(name, request) for key, name in REPORTED_TO.items()},
                "nonce": nonce,
                "clicks": clicks,
                "csrf": _token(request),
                "consent": active.CONSENT,
                "document": shortcuts.document_of(type(view)).label if view is not None else "",
                "item": view.pk if view is not None else "",
            },
        ).strip()
    )


def _address(name: str, request: HttpRequest | None) -> str:
    """Return the address of an endpoint, wherever the site includes the API; raises NoReverseMatch where it
    does not."""
    namespace = ":".join(_namespace_of_api(get_resolver(get_urlconf())) or [API])
    try:
        return reverse(f"{namespace}:{name}")
    except NoReverseMatch:  # the prefix holds a part of the page's own address, such as its tenant
        if request is None or request.resolver_match is None:
            raise
        return reverse(f"{namespace}:{name}", kwargs=request.resolver_match.kwargs)


def _namespace_of_api(resolver: URLResolver) -> list[str]:
    """Return the namespaces that the API sits in, the outermost first; empty: it is not there."""
    for name, (_prefix, inner) in resolver.namespace_dict.items():
        if inner.app_name == API:
            return [name]
        if path := _namespace_of_api(inner):
            return [name, *path]
    return []


def _token(request: Any) -> str:
    """Return a token only for those who are logged in: others need none, and their pages stay fit for a
    cache."""
    if request is None or not getattr(getattr(request, "user", None), "is_authenticated", False):
        return ""
    return get_token(request)


@register.simple_tag
def llmrec_item(item: Any, page: Any, position: int) -> SafeString:
    """Return attributes for the element that shows one item of a list that the site draws itself, by which
    the script knows it: `<li {% llmrec_item item page forloop.counter0 %}>`. None for a list that could not
    be kept: nothing can be reported of it.

    `item`: a ResultItem, or an instance out of Results; `page`: what it came in.
    """
    known: ResultItem = getattr(item, "llmrec", item)
    if not page.request_id:
        return SafeString("")
    return format_html(
        'data-llmrec-list="{}" data-llmrec-document="{}" data-llmrec-item="{}" data-llmrec-position="{}"',
        page.request_id,
        known.document,
        known.item_id,
        position,
    )


@register.filter
def llmrec_url(item: ResultItem) -> str:
    """Return the address of the page of a result, as its SearchDocument tells; empty where there is none."""
    return url_of(registry.get(item.document), item.object)
