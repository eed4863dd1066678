"""The first page to look at: what visitors search, see and choose, and whether all is well behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from llmrec_plugin.admin.base import ReadOnlyAdmin, document_or_first, page
from llmrec_plugin.admin.insight.experiment_summary import percent
from llmrec_plugin.admin.insight.plots import numbers
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.models import Dashboard, Experiment, SearchQuality
from llmrec_plugin.plots import columns
from llmrec_plugin.services.deployment.live import find_live_pair
from llmrec_plugin.services.indexing import backlog
from llmrec_plugin.services.reporting import dashboard
from llmrec_plugin.services.reporting.dashboard import Day, PositionRow
from llmrec_plugin.services.training import drift

DEFAULT_DAYS = 7


@admin.register(Dashboard)
class DashboardAdmin(ReadOnlyAdmin):
    """One document and period at a time, chosen in the address."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        document = document_or_first(request.GET.get("document", ""))
        days = _days(request.GET.get("days", ""))
        values = {
            "title": _("Dashboard"),
            "labels": registry.labels(),
            "document": document,
            "days": days,
            "periods": [
                (number, ngettext("%(count)d day", "%(count)d days", number) % {"count": number})
                for number in dashboard.PERIODS
            ],
            **(_contents(document, days=days) if document else {}),
            **(extra_context or {}),
        }
        return page(self, request, "dashboard/change_list", values)


def _days(text: str) -> int:
    days = int(text) if text.isascii() and text.isdigit() else DEFAULT_DAYS
    return days if days in dashboard.PERIODS else DEFAULT_DAYS


def _contents(document: str, *, days: int) -> dict[str, Any]:
    sums = dashboard.collect(document, days=days)
    pair = find_live_pair(document)
    report = drift.latest().get(document)
    return {
        "sums": sums,
        "charts": _charts(sums.days) if sums.search.lists else {},
        "positions": [
            (row.name, _position_chart(f"positions-{number}", places))
            for number, row in enumerate(sums.placements)
            for places in [sums.positions.get(row.name, ())]
            if any(place.clicked for place in places)
        ],
        "pair": pair,
        "quality": SearchQuality.objects.filter(document=document).first(),
        "backlog": backlog.waiting().get(document, backlog.Backlog()),
        "drift": report,
        "drift_sentences": list(drift.sentences(report)) if report else [],
        "experiments": Experiment.objects.filter(document=document, state=Experiment.State.RUNNING),
        "people": get_settings().SUGGEST_MIN_VISITORS,
        "searches_read": dashboard.SEARCHES_READ,
    }


def _charts(days: Sequence[Day]) -> dict[str, SafeString]:
    dates = [date_format(day.date, "SHORT_DATE_FORMAT") for day in days]

    def chart(name: str, title: str, values: Sequence[float], told: Sequence[str]) -> SafeString:
        rows = list(zip(dates, told, strict=True))
        titles = [f"{date}: {value}" for date, value in rows]
        return columns(values, name=name, title=title, titles=titles) + numbers((_("Day"), title), rows)

    searches = [day.searches for day in days]
    empty = [day.empty / day.searches if day.searches else math.nan for day in days]
    clicked = [day.clicked / day.searches if day.searches else math.nan for day in days]
    shares = {
        "empty": (_("Share without a result per day"), empty),
        "clicked": (_("Click rate per day"), clicked),
    }
    return {
        "searches": chart("searches", _("Searches per day"), searches, [str(count) for count in searches]),
        **{
            name: chart(name, title, values, [percent(share) for share in values])
            for name, (title, values) in shares.items()
        },
    }


def _position_chart(name: str, rows: Sequence[PositionRow]) -> SafeString:
    told = [
        (str(row.position), percent(row.click_rate, digits=2), percent(row.conversion, digits=2))
        for row in rows
    ]
    return columns(
        [row.click_rate for row in rows],
        name=name,
        title=_("Click rate by position"),
        titles=[f"{place}: {clicked}" for place, clicked, _bought in told],
    ) + numbers((_("Place"), _("Clicked"), _("Bought")), told)
