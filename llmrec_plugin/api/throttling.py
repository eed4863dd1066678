"""How many requests one visitor may make; a cache that is down lets everybody through.

A site sets its own rates, or None for no limit, in REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] under the scopes
`llmrec-read` and `llmrec-write`.
"""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from llmrec_plugin.services.coordination import caches


class VisitorThrottle(SimpleRateThrottle):
    """Counts by user, and by address where nobody is logged in: a visitor's key costs nothing to renew."""

    default_rate: ClassVar[str]

    def get_rate(self) -> str | None:
        rate: Any = api_settings.DEFAULT_THROTTLE_RATES.get(str(self.scope), self.default_rate)
        return None if rate is None else str(rate)

    def get_cache_key(self, request: Request, view: APIView) -> str:
        known = getattr(request.user, "is_authenticated", False)
        who = f"user {request.user.pk}" if known else f"address {self.get_ident(request)}"
        # hashed, since forwarded addresses are the client's own words and a cache is choosy about keys
        return self.cache_format % {"scope": self.scope, "ident": hashlib.sha256(who.encode()).hexdigest()}

    def allow_request(self, request: Request, view: APIView) -> bool:
        count = super().allow_request
        return caches.attempt(lambda: bool(count(request, view)), otherwise=True)


class ReadThrottle(VisitorThrottle):
    scope = "llmrec-read"
    default_rate = "600/min"


class WriteThrottle(VisitorThrottle):
    scope = "llmrec-write"
    default_rate = "300/min"
