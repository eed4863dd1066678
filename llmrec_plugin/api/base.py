"""What all endpoints share: JSON whatever is asked for, problem documents, throttles and private answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.permissions import SAFE_METHODS, AllowAny
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from llmrec_plugin import visitors
from llmrec_plugin.api import descriptions, problems
from llmrec_plugin.api.parsers import BoundedJSONParser
from llmrec_plugin.api.throttling import ReadThrottle, WriteThrottle


class OneFormat(DefaultContentNegotiation):
    """The first renderer, whatever the client accepts: `format` may be the name of a filter."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, str(first.media_type)


class ApiView(APIView):
    """Open to everybody as the shop itself is; who may log in, and how, the site's REST framework says."""

    renderer_classes: Sequence[type[BaseRenderer]] = (JSONRenderer,)
    parser_classes = (BoundedJSONParser,)
    permission_classes = (AllowAny,)
    content_negotiation_class: type[BaseContentNegotiation] = OneFormat
    versioning_class = None
    schema = descriptions.view_schema()

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Return the site's, and its session where it names tokens alone: the script of a page has no token,
        and what a visitor does who is logged in is theirs."""
        found = super().get_authenticators()
        if not any(isinstance(one, SessionAuthentication) for one in found):
            found.append(SessionAuthentication())
        return found

    def get_throttles(self) -> list[BaseThrottle]:
        return [ReadThrottle() if self.request.method in SAFE_METHODS else WriteThrottle()]

    def get_exception_handler(self) -> Callable[..., HttpResponseBase | None]:
        return problems.handle_exception

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Answers differ by visitor and language, and no cache between may hold them."""
        response = super().finalize_response(request, response, *args, **kwargs)
        patch_cache_control(response, private=True, no_store=True)
        patch_vary_headers(response, ("Cookie", "Accept-Language", visitors.HEADER))
        visitors.give_key(request, response)
        return response
