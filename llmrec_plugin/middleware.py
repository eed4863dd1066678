"""For pages of a site's own with lists: visitors are known again, and shared caches keep out."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers

from llmrec_plugin import visitors

__all__ = ["VisitorMiddleware"]


class VisitorMiddleware:
    """Sends the key that a list gave a new visitor along with the page.

    Without it, who is not logged in is known once the script of `{% llmrec_script %}` has reported
    something; experiments then do not count the pages before.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        reading = visitors.Reading()
        setattr(request, visitors.READING, reading)
        response = self.get_response(request)
        if reading.personal:
            patch_cache_control(response, private=True)
            patch_vary_headers(response, ("Cookie", visitors.HEADER))
        visitors.give_key(request, response)
        return response
