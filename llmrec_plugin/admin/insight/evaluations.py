"""How good the lists of the site are, as `llmrec evaluate` found it: tables with intervals."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import ReadOnlyAdmin, pretty_json
from llmrec_plugin.models import Evaluation
from llmrec_plugin.services.evaluation.recommendation import SERVED
from llmrec_plugin.services.evaluation.tables import METHODS, Table, learning, tables


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnlyAdmin):
    list_display = ["at", "document", "recommendation", "baseline", "search", "by"]
    list_filter = ["document"]
    fields = ["document", "at", "by", "results", "report_text"]

    @admin.display(description=_("recommendation, NDCG@10"))
    def recommendation(self, evaluation: Evaluation) -> str:
        return _value(evaluation.report, "recommendation", "served")

    @admin.display(description=_("best baseline, NDCG@10"))
    def baseline(self, evaluation: Evaluation) -> str:
        best = evaluation.report.get("recommendation", {}).get("best_baseline")
        return f"{_value(evaluation.report, 'recommendation', best)} ({METHODS[best]})" if best else "–"

    @admin.display(description=_("search, NDCG@10"))
    def search(self, evaluation: Evaluation) -> str:
        return _value(evaluation.report, "search", "served")

    @admin.display(description=_("results"))
    def results(self, evaluation: Evaluation) -> SafeString:
        """Each table of the report, and how to read it."""
        how = _(
            "An interval that contains 0 proves no difference. “–” could not be measured. The best method "
            "against which the others are held was found on the same events, so the comparison favours it."
        )
        recommendation = evaluation.report.get("recommendation")
        said = learning(recommendation) if recommendation else ""
        shown = format_html_join("", "{}", ([_table(table)] for table in tables(evaluation.report)))
        return format_html("<div><p>{}</p><p>{}</p>{}</div>", said, how, shown)

    @admin.display(description=_("report"))
    def report_text(self, evaluation: Evaluation) -> SafeString:
        return pretty_json(evaluation.report)


def _table(table: Table) -> SafeString:
    head = format_html_join("", "<th scope=col>{}</th>", ([name] for name in table.header))
    rows = format_html_join(
        "",
        "<tr><th scope=row>{}</th>{}</tr>",
        (
            (_named(name), format_html_join("", "<td>{}</td>", ([cell] for cell in cells)))
            for name, *cells in table.rows
        ),
    )
    return format_html(
        '<table style="margin-bottom:1.5em"><caption>{}</caption>'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table>",
        table.title,
        head,
        rows,
    )


def _named(name: str) -> SafeString | str:
    """A method, or one method - another, in the reader's language; what is served stands out."""
    words = " - ".join(str(METHODS.get(part, part)) for part in name.split(" - "))
    return format_html("<strong>{}</strong>", words) if name == SERVED else words


def _value(report: dict[str, Any], part: str, method: str) -> str:
    value = report.get(part, {}).get("methods", {}).get(method, {}).get("NDCG@10")
    return "–" if value is None else f"{value:.4f}"
