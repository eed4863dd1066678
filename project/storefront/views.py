"""The visitor's pages: home, search, and a page for each item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from llmrec_plugin.analysis import html_to_text
from llmrec_plugin.exceptions import BackendUnavailable, InvalidCursor, NotBuilt
from llmrec_plugin.services import recommendations
from llmrec_plugin.services import search as searching
from llmrec_plugin.types import ResultPage, SearchRequest
from llmrec_plugin.visitors import give_key, list_user_key
from project.school.models import Course, Enrolment
from project.shop.models import Department, InvoiceLine, Product
from project.storefront.forms import ORDERS, SCHOOL, SHOP, SearchForm
from project.storefront.sections import Sections, Title, names_of, next_title, personal_title, viewed_title
from project.storefront.visitors import note

ROW = 6
"""Items of a list on a page."""


@require_safe
@cache_control(private=True)
def home(request: HttpRequest) -> HttpResponse:
    """Lists of the shop and of the school; what is personal comes first."""
    user_key = list_user_key(request)
    halves = [
        {"title": _("Shop"), "document": SHOP, "sections": _home_sections(SHOP, user_key)},
        {"title": _("School"), "document": SCHOOL, "sections": _home_sections(SCHOOL, user_key)},
    ]
    if hasattr(request.user, "learner"):
        halves.reverse()
    response = render(request, "storefront/home.html", {"halves": halves})
    give_key(request, response)
    return response


def _home_sections(document: str, user_key: str | None) -> Sections:
    titles: dict[str, str | Title] = {
        "for-you": personal_title,
        "because-you-viewed": viewed_title(document, user_key),
        **({"next": next_title} if document == SCHOOL else {}),
        "trending": _("Trending"),
        "latest": _("New"),
    }
    sections = Sections()
    for placement, title in titles.items():
        ask = partial(recommendations.recommend, placement, user_key=user_key, document=document, limit=ROW)
        sections.add(f"{document}-{placement}", title, ask)
    return sections


@require_safe
@cache_control(private=True)
def search(request: HttpRequest) -> HttpResponse:
    """Results with reasons; without words a listing of what passes the filters."""
    form = SearchForm(request.GET)
    context: dict[str, Any] = {"form": form, "document": SHOP, "start": _start(request)}
    status = 200
    if form.is_valid():
        context["document"] = form.cleaned_data["document"]
        try:
            page = _results(request, form)
        except NotBuilt:
            context["not_built"] = True
        except BackendUnavailable:
            context["unavailable"], status = True, 503
        except InvalidCursor:
            context["expired"], status = True, 410
        else:
            context.update(_result_context(request, form, page))
    else:
        status = 400
    response = render(request, "storefront/search.html", context, status=status)
    give_key(request, response)
    return response


def _results(request: HttpRequest, form: SearchForm) -> ResultPage:
    user_key = list_user_key(request)
    if cursor := request.GET.get("cursor"):
        return searching.next_page(cursor, user_key=user_key)
    document = form.cleaned_data["document"]
    return searching.search(
        SearchRequest(
            document=document,
            text=form.cleaned_data["q"],
            user_key=user_key,
            filters=form.filters(),
            facets=("department",) if document == SHOP else ("subject",),
            sort=form.cleaned_data["sort"] if document == SHOP else "",
        )
    )


def _result_context(request: HttpRequest, form: SearchForm, page: ResultPage) -> dict[str, Any]:
    start = _start(request)
    following = request.GET.copy()
    following["cursor"], following["start"] = page.next or "", str(start + len(page.results))
    return {
        "page": page,
        "next_url": f"?{following.urlencode()}" if page.next else "",
        "narrower": _narrower(request, form, page),
        "orders": _orders(request, form),
        "suggestion_url": _with(request, q=page.did_you_mean) if page.did_you_mean else "",
        "instead": None if page.results else _instead(request, form.cleaned_data["document"]),
    }


def _instead(request: HttpRequest, document: str) -> Sections:
    """What to look at where nothing was found."""
    sections = Sections()
    ask = partial(
        recommendations.recommend, "for-you", user_key=list_user_key(request), document=document, limit=ROW
    )
    sections.add("instead", personal_title, ask)
    return sections


def _narrower(request: HttpRequest, form: SearchForm, page: ResultPage) -> list[tuple[str, str, int]]:
    """(name, address, count) of the departments or subjects among the results, unless one is chosen."""
    field = "department" if form.cleaned_data["document"] == SHOP else "subject"
    counts: Sequence[tuple[Any, int]] = page.facets.get(field, ())
    if form.cleaned_data[field] or len(counts) < 2:
        return []
    names = dict(form.fields[field].choices)  # type: ignore[attr-defined]
    return [
        (names.get(value, value), _with(request, **{field: str(value)}), count)
        for value, count in counts[:ROW]
    ]


def _orders(request: HttpRequest, form: SearchForm) -> list[tuple[str, str, bool]]:
    """(name, address, whether it is the one) of the orders in which results can be seen."""
    if form.cleaned_data["document"] != SHOP:
        return []
    chosen = form.cleaned_data["sort"]
    return [(str(name), _with(request, sort=sort), sort == chosen) for sort, name in ORDERS]


def _with(request: HttpRequest, **changes: str) -> str:
    """The address of this search with other parameters, from its first page."""
    query = request.GET.copy()
    for name in ("cursor", "start"):
        query.pop(name, None)
    for name, value in changes.items():
        query[name] = value
    return f"?{query.urlencode()}"


def _start(request: HttpRequest) -> int:
    """Position of the first result of this page."""
    start = request.GET.get("start", "")
    return int(start) if start.isascii() and start.isdigit() and len(start) < 6 else 0


@require_safe
@cache_control(private=True)
def product(request: HttpRequest, pk: int) -> HttpResponse:
    item = get_object_or_404(Product, pk=pk, is_visible=True)
    buyers = InvoiceLine.objects.filter(product=item).values("invoice__customer").distinct().count()
    facts = [
        (_("Department"), Department(item.department).label),
        (_("Stock code"), item.code),
        (_("Bought by"), ngettext("%(count)d customer", "%(count)d customers", buyers) % {"count": buyers}),
    ]
    return _item_page(request, SHOP, item, {"facts": facts, "also_bought_title": _("Customers also bought")})


@require_safe
@cache_control(private=True)
def course(request: HttpRequest, code: str) -> HttpResponse:
    related = Course.objects.order_by("level", "title")
    courses = Course.objects.prefetch_related(
        Prefetch("prerequisites", queryset=related), Prefetch("leads_to", queryset=related)
    )
    item = get_object_or_404(courses, pk=code)
    learner = getattr(request.user, "learner", None)
    facts = [
        (_("Subject"), item.get_subject_display()),
        (_("Level"), item.get_level_display()),
        (_("Taught in"), item.get_language_display()),
        (_("Teacher"), item.teacher),
        (_("Learners"), item.enrolments.count()),
    ]
    extra = {
        "facts": facts,
        "also_bought_title": _("Learners also took"),
        "can_enrol": learner is not None,
        "is_enrolled": learner is not None
        and Enrolment.objects.filter(learner=learner, course=item).exists(),
    }
    return _item_page(request, SCHOOL, item, extra)


def _item_page(
    request: HttpRequest, document: str, item: Product | Course, extra: dict[str, Any]
) -> HttpResponse:
    """Note the visit, then show the item with what resembles it and what others took with it."""
    note(request, document, item.pk, "view")
    user_key, key = list_user_key(request), str(item.pk)
    sections = Sections()
    sections.add(
        "similar", _("Similar"), partial(recommendations.similar, document, key, user_key=user_key, limit=ROW)
    )
    sections.add("also-bought", extra["also_bought_title"], partial(_also_bought, document, key, user_key))
    context = {
        "item": item,
        "document": document,
        "description": html_to_text(item.description),
        "sections": sections,
        **extra,
    }
    response = render(request, "storefront/item.html", context)
    give_key(request, response)
    return response


def _also_bought(document: str, key: str, user_key: str | None) -> ResultPage:
    """Nothing where no one has taken the item yet: the list then holds what is similar, shown already."""
    page = recommendations.also_bought(document, key, user_key=user_key, limit=ROW)
    known = [item for item in page.results if "neighbours" in names_of([item])]
    return replace(page, results=tuple(known))
