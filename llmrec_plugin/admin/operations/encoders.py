"""Encoders that were tuned here: what each was made from, what it is worth and whether it was taken over."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import RecordAdmin, pretty_json
from llmrec_plugin.admin.insight.plots import figure
from llmrec_plugin.models import TunedEncoder
from llmrec_plugin.services.reporting import tuning_charts

_REASONS = {
    "few-events": _("too few of the latest events to tell"),
    "not-proven": _("the gain is not beyond luck"),
    "new-items": _("new items would be ranked worse"),
    "search": _("search would get worse"),
    "coverage": _("fewer items would be shown"),
}


@admin.register(TunedEncoder)
class TunedEncoderAdmin(RecordAdmin):
    list_display = ["name", "document", "state", "base_name", "created_at"]
    list_filter = ["document", "state"]
    fields = [
        "name",
        "document",
        "state",
        "comparison",
        "learning_curves",
        "base_name",
        "events_since",
        "events_until",
        "created_at",
        "by",
        "report_text",
    ]

    @admin.display(description=_("against what answered"))
    def comparison(self, encoder: TunedEncoder) -> SafeString | str:
        """Show what decides, each guard rail, and the verdict in words."""
        verdict = encoder.report.get("verdict")
        if verdict is None:
            is_broken = encoder.state == TunedEncoder.State.BROKEN
            return str(
                _("It was broken off before it was measured.") if is_broken else _("It is being measured.")
            )
        reasons = [str(_REASONS.get(reason, reason)) for reason in verdict["reasons"]]
        words = "; ".join(reasons) if reasons else _("better, taken over")
        figures = verdict["figures"]
        if "gain" not in figures:
            return str(words)
        rails = {name: rail for name, rail in figures["guard_rails"].items() if rail["before"] is not None}
        rows = {figures["metric"]: figures, **rails}
        body = format_html_join(
            "",
            "<tr><th scope=row>{}</th><td>{}</td><td>{}</td></tr>",
            ((name, f"{row['before']:.4f}", f"{row['after']:.4f}") for name, row in rows.items()),
        )
        return format_html(
            "<table><thead><tr><th></th><th scope=col>{}</th><th scope=col>{}</th></tr></thead>"
            "<tbody>{}</tbody></table><p>{} ({}: {} … {})</p>",
            _("before"),
            _("tuned"),
            body,
            words,
            _("gain"),
            f"{figures['low']:+.4f}",
            f"{figures['high']:+.4f}",
        )

    @admin.display(description=_("learning curves"))
    def learning_curves(self, encoder: TunedEncoder) -> SafeString | str:
        """Show each curve as a picture, in words and in numbers."""
        shown = format_html_join("", "{}", ((figure(one),) for one in tuning_charts.curves(encoder)))
        return shown or str(_("There are none: it ended before its first measurement."))

    @admin.display(description=_("report"))
    def report_text(self, encoder: TunedEncoder) -> SafeString:
        return pretty_json(encoder.report)
