"""Who is asking: users of the site, and visitors who carry a signed key until they log in.

A visitor's key is made when there is something to keep for the first time, never by reading, and only where
LLMREC["CONSENT"] lets it be kept. It travels in a cookie; clients without cookies send back the header in
which it was given to them.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings as django_settings
from django.contrib.auth.signals import user_logged_in
from django.core.signing import BadSignature, Signer
from django.db import DatabaseError, transaction
from django.dispatch import receiver
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from llmrec_plugin import networks
from llmrec_plugin.conf import get_settings
from llmrec_plugin.models import own
from llmrec_plugin.services import interactions, privacy
from llmrec_plugin.services.experiments import assignment
from llmrec_plugin.types import ANONYMOUS
from llmrec_plugin.types.results import NETWORK_SIGN

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

logger = logging.getLogger(__name__)

__all__ = [
    "COOKIE",
    "HEADER",
    "consent_is_open",
    "current_user_key",
    "ensure_user_key",
    "give_key",
    "is_left_out",
    "list_user_key",
    "merge_visitor",
    "resolve_user_key",
    "take_key",
]

COOKIE = "llmrec_visitor"
"""Name of the cookie that holds a visitor's signed key."""
HEADER = "X-Llmrec-Visitor"
"""Name of the header that holds it for clients without cookies."""
COOKIE_AGE = 365 * 24 * 3600

_ISSUED = "llmrec_issued_visitor"
"""Attribute of a request that holds the token made while it was answered."""
READING = "llmrec_reading"
"""Attribute of a request that VisitorMiddleware attends to."""
_CRAWLERS = re.compile(
    r"(?<!cu)bot\b|crawl|spider|slurp|facebookexternalhit|bingpreview|mediapartners|lighthouse|pingdom|uptime",
    re.IGNORECASE,
)
"""What crawlers and monitors call themselves; a Cubot is a telephone."""


def resolve_user_key(request: HttpRequest) -> str | None:
    """The primary key of the user who is logged in, else the visitor's key; None: not known yet.

    The default of LLMREC["USER_RESOLVER"].
    """
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return str(user.pk)
    return visitor_key(request)


def current_user_key(request: HttpRequest) -> str | None:
    """What LLMREC["USER_RESOLVER"] answers for this request."""
    resolver = cast(Callable[[HttpRequest], str | None], import_string(get_settings().USER_RESOLVER))
    return resolver(request) or None


def visitor_key(request: HttpRequest) -> str | None:
    """The key in the visitor's header or cookie; one that we did not sign is no key."""
    for token in (
        getattr(_plain(request), _ISSUED, None),
        request.headers.get(HEADER),
        request.COOKIES.get(COOKIE),
    ):
        if token and (name := _verified(token)):
            return ANONYMOUS + name
    return None


def list_user_key(request: HttpRequest) -> str | None:
    """As `current_user_key`, for a request that is answered with a list; crawlers are nobody.

    While an experiment shows visitors different lists, a new visitor whom one may remember without asking
    gets a key here, so that they see the same again; the answer must go through `give_key`.
    """
    if is_crawler(request):
        return None
    key = current_user_key(request)
    if key is None and newcomers_are_remembered() and assignment.needs_keys():
        return ensure_user_key(request)
    return key


@dataclass
class Reading:
    """What the middleware has to know of a request when its answer goes out."""

    personal: bool = False
    """It holds lists that were made for its visitor."""


def page_user_key(request: HttpRequest) -> str | None:
    """For whom a list in a page of the site's own is made: as `list_user_key` where VisitorMiddleware sends
    a new key along, otherwise without making one."""
    reading: Reading | None = getattr(_plain(request), READING, None)
    if reading is None:
        return None if is_crawler(request) else current_user_key(request)
    reading.personal = True
    return list_user_key(request)


def ensure_user_key(request: HttpRequest) -> str | None:
    """As `current_user_key`, making a key for a new visitor. None: the site's own resolver knows no
    visitors, or LLMREC["CONSENT"] is "off"."""
    key = current_user_key(request)
    if key is None and get_settings().CONSENT != "off":
        name = secrets.token_urlsafe(16) + NETWORK_SIGN + networks.network_hash(_plain(request))
        setattr(_plain(request), _ISSUED, _signer().sign(name))
        key = current_user_key(request)
        if key is None:
            delattr(_plain(request), _ISSUED)
    return key


def newcomers_are_remembered() -> bool:
    """Whether events may be kept of somebody who has not been asked yet."""
    settings = get_settings()
    return settings.ENABLED and settings.CONSENT == "opt-out"


def consent_is_open(request: HttpRequest) -> bool:
    """Return whether the visitor should be asked if they may be remembered: they have not answered yet, and
    LLMREC["CONSENT"] is not "off"; for a banner. One query at most."""
    if get_settings().CONSENT == "off":
        return False
    key = current_user_key(request)
    return key is None or privacy.consent_of(key) is None


def give_key(request: HttpRequest, response: HttpResponseBase) -> None:
    """Send a key that was made during this request along with its answer."""
    token = getattr(_plain(request), _ISSUED, None)
    if token is None:
        return
    response.headers[HEADER] = token
    response.set_cookie(
        COOKIE,
        token,
        max_age=COOKIE_AGE,
        path=django_settings.SESSION_COOKIE_PATH,
        domain=django_settings.SESSION_COOKIE_DOMAIN,
        secure=django_settings.SESSION_COOKIE_SECURE or request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


def take_key(response: HttpResponseBase) -> None:
    """Make the visitor's browser forget its key."""
    response.delete_cookie(
        COOKIE,
        path=django_settings.SESSION_COOKIE_PATH,
        domain=django_settings.SESSION_COOKIE_DOMAIN,
        samesite="Lax",
    )


def is_left_out(request: HttpRequest) -> bool:
    """Staff and crawlers: what they do says nothing about what visitors like."""
    return bool(getattr(getattr(request, "user", None), "is_staff", False)) or is_crawler(request)


def is_crawler(request: HttpRequest) -> bool:
    return bool(_CRAWLERS.search(request.headers.get("User-Agent", "")))


def merge_visitor(request: HttpRequest, user: AbstractBaseUser) -> int:
    """Make what the visitor left before logging in the user's own; returns how many events moved."""
    anonymous = visitor_key(request)
    if anonymous is None:
        return 0
    key = current_user_key(request)
    if key is None or key.startswith(ANONYMOUS):
        key = str(user.pk)
    return interactions.merge(anonymous, key)


@receiver(user_logged_in, dispatch_uid="llmrec_merge_visitor")
def _merge_at_login(*, request: HttpRequest | None, user: AbstractBaseUser, **kwargs: Any) -> None:
    """Merge, now or once the site's own transaction has ended; a login never fails for it."""
    if request is None:
        return
    try:
        merge_visitor(request, user)
    except DatabaseError as error:
        logger.error("not merged at login error=%s", type(error).__name__)
        if transaction.get_connection(own.database()).in_atomic_block:
            transaction.on_commit(partial(merge_visitor, request, user), using=own.database(), robust=True)


def _signer() -> Signer:
    return Signer(salt="llmrec_plugin.visitor")


def _verified(token: str) -> str | None:
    try:
        return _signer().unsign(token)
    except BadSignature:
        return None


def _plain(request: HttpRequest) -> HttpRequest:
    """Django's request inside that of REST framework."""
    return cast(HttpRequest, getattr(request, "_request", request))
