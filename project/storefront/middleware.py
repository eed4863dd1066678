"""Looking at the demo as one of its sample users; never active without settings.DEMO."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from project.storefront.accounts import is_sample

SESSION_KEY = "view_as"


class ViewAsMiddleware:
    """Answers as the user chosen on the page; the admin keeps whoever has logged in.

    Only the sample users of the demo can be chosen, who have no rights and no password.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not settings.DEMO:
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        username = request.session.get(SESSION_KEY, "")
        if username and not request.path.startswith(reverse("admin:index")):
            user = User.objects.filter(username=username, is_active=True).first()
            if user is not None and is_sample(user):
                request.user = user
        return self.get_response(request)
