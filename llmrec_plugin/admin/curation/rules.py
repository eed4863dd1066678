"""Rules: what editors decide about lists, checked as they write them and compared with each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from llmrec_plugin.admin.curation.editable import VersionedRowAdmin, admin_url
from llmrec_plugin.admin.curation.fields import FiltersField, LinesField, items_of, name_fields, titled
from llmrec_plugin.admin.insight.explorer import rules_with
from llmrec_plugin.admin.insight.previews import placement_queries, search_queries
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.models import Configuration, Rule
from llmrec_plugin.services.curation import placements
from llmrec_plugin.services.curation.rule_conflicts import Conflict, conflicts_of
from llmrec_plugin.services.explorer.comparison import ListQuery, ServingOverrides
from llmrec_plugin.services.items.filter_parsing import read_filters

_SAID = {
    "place": _("Place %(place)d is wanted by “%(other)s”, too: %(winner)s has it."),
    "pinned twice": _("“%(other)s” pins the same items (%(items)s): %(winner)s counts."),
    "hidden": _("“%(other)s” and this rule disagree on whether %(items)s is seen at all: it is hidden."),
    "both ways": _("“%(other)s” moves the same items (%(items)s) the other way: both add up."),
}
SEARCH = "search"
SHOWN_ITEMS = 5
WHEN = ["match", "phrases", "list_filters", "placements", "audience", "starts_at", "ends_at"]


class RuleForm(ModelForm):  # type: ignore[type-arg]
    """Takes lines instead of JSON; whatever does not fit the document is refused with the cure."""

    document = forms.ChoiceField()
    items = LinesField(rows=5, help_text=_("One to a line: the primary key or the whole title."))
    item_filters = FiltersField(
        rows=2,
        help_text=_(
            "Instead of single items; field=value in lines, such as category=garden or price__lt=10."
        ),
    )
    phrases = LinesField(help_text=_("One to a line; case and width do not matter."))
    list_filters = FiltersField(
        rows=2,
        help_text=_(
            "Only in lists confined to these values, such as the page of a category: category=garden."
        ),
    )
    placements = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen: in search and in all recommendations."),
    )

    class Meta:
        model = Rule
        fields = [
            "name",
            "document",
            "enabled",
            "priority",
            "action",
            "items",
            "item_filters",
            "place",
            "strength",
            *WHEN,
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(self, "document", "items", "item_filters", "phrases", "list_filters", "placements")
        if "action" not in self.fields:  # the rule can only be looked at
            return
        choices = [(label, label) for label in registry.labels()]
        self.fields["document"].choices = choices  # type: ignore[attr-defined]
        names = placements.names_of_lists()
        self.fields["placements"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]
        for name in ("starts_at", "ends_at"):
            field = self.fields[name]
            for part, called in zip(field.widget.widgets, (_("date"), _("time")), strict=True):
                part.attrs["aria-label"] = format_lazy("{}, {}", field.label or "", called)
        rule: Rule = self.instance
        if rule.items and rule.document in registry.labels():
            self.initial["items"] = titled(registry.get(rule.document), rule.items)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        label = cleaned.get("document")
        if label not in registry.labels():
            return cleaned
        document = registry.get(str(label))
        try:
            cleaned["items"] = items_of(document, cleaned.get("items") or [])
        except ValidationError as error:
            self.add_error("items", error)
        for name in ("item_filters", "list_filters"):
            try:
                read_filters(cleaned.get(name) or {}, document.filter_kinds())
            except LlmrecError as error:
                self.add_error(name, str(error))
        return cleaned


@admin.register(Rule)
class RuleAdmin(VersionedRowAdmin):
    form = RuleForm
    about = _(
        "A rule pins items to a place, boosts, buries or hides them: for a query, a category, a placement, "
        "an audience or some days."
    )
    list_display = ["name", "document", "what", "when", "audience", "dates", "enabled", "conflict_count"]
    list_filter = ["enabled", "document", "action", "audience"]
    search_fields = ["name", "phrases", "items"]
    fieldsets = [
        (None, {"fields": ["name", "document", "enabled", "priority"]}),
        (_("What is done"), {"fields": ["action", "items", "item_filters", "place", "strength"]}),
        (
            _("When"),
            {
                "fields": [
                    "match",
                    "phrases",
                    "list_filters",
                    "placements",
                    "audience",
                    "starts_at",
                    "ends_at",
                ]
            },
        ),
        (_("Other rules"), {"fields": ["conflicts"]}),
    ]
    readonly_fields = ["conflicts"]

    def list_queries(self, candidate: Rule, form_values: dict[str, Any]) -> list[ListQuery]:
        names = [name for name in candidate.placements if name != SEARCH] if candidate.placements else []
        found = placement_queries(candidate.document, names, form_values)
        if not candidate.placements or SEARCH in candidate.placements:
            found = [*search_queries(candidate.document, form_values, phrases=candidate.phrases), *found]
        return found

    def serving_overrides(
        self, candidate: Rule, query: ListQuery
    ) -> tuple[ServingOverrides, ServingOverrides]:
        """Return the lists without the rule and with it, so that its effect is seen after it was saved,
        too."""
        configuration = Configuration.current()
        others = [rule for rule in rules_with(candidate) if rule is not candidate]
        now = ServingOverrides(configuration=configuration, rules=others)
        return now, ServingOverrides(configuration=configuration, rules=rules_with(candidate))

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Return the page with the number of conflicts of each rule on it."""
        page = super().get_changelist_instance(request)
        active = list(Rule.objects.filter(enabled=True))
        for rule in page.result_list:
            rule.conflicts_found = len(_conflicts(rule, active)) if rule.enabled else 0
        return page

    @admin.display(description=_("what is done"), ordering="action")
    def what(self, rule: Rule) -> str:
        about = ", ".join(map(str, rule.items[:SHOWN_ITEMS])) or _written(rule.item_filters)
        return f"{rule.get_action_display()}: {about}"

    @admin.display(description=_("when"))
    def when(self, rule: Rule) -> str:
        parts = [f"“{phrase}”" for phrase in rule.phrases[:SHOWN_ITEMS]]
        parts += [_written(rule.list_filters)] if rule.list_filters else []
        parts += [", ".join(rule.placements)] if rule.placements else []
        return " · ".join(parts) or str(_("always"))

    @admin.display(description=_("dates"), ordering="starts_at")
    def dates(self, rule: Rule) -> str:
        ends = [date_format(at, "SHORT_DATE_FORMAT") if at else "" for at in (rule.starts_at, rule.ends_at)]
        return " – ".join(ends).strip()

    @admin.display(description=_("conflicts"))
    def conflict_count(self, rule: Rule) -> SafeString | str:
        found = getattr(rule, "conflicts_found", 0)
        if not found:
            return "–"
        text = ngettext("%(count)d conflict", "%(count)d conflicts", found) % {"count": found}
        return format_html('<a href="{}">⚠ {}</a>', admin_url("rule", "change", rule.pk), text)

    @admin.display(description=_("conflicts"))
    def conflicts(self, rule: Rule) -> SafeString | str:
        if rule._state.adding:
            return str(_("They are shown once the rule is saved."))
        try:
            found = conflicts_of(rule, Rule.objects.filter(enabled=True, document=rule.document))
        except LlmrecError as error:
            return str(error)
        if not found:
            return str(_("None: no rule in effect wants something else."))
        lines = format_html_join("", "<li>{}</li>", ([_told(one)] for one in found))
        return format_html("<ul>{}</ul>", lines)

    def save_model(self, request: HttpRequest, obj: Rule, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if obj.enabled:
            for one in conflicts_of(obj, Rule.objects.filter(enabled=True, document=obj.document)):
                messages.warning(request, _told(one))


def _conflicts(rule: Rule, others: Iterable[Rule]) -> list[Conflict]:
    """Return the conflicts; None where the rule fits its document no more: it is left out of everything
    then."""
    try:
        return conflicts_of(rule, others)
    except LlmrecError:
        return []


def _told(conflict: Conflict) -> str:
    winner = _("this rule") if conflict.wins else f"“{conflict.other}”"
    items = ", ".join(conflict.items[:SHOWN_ITEMS])
    values = {"other": conflict.other, "winner": winner, "items": items, "place": conflict.place}
    return str(_SAID[conflict.kind]) % values


def _written(filters: Mapping[str, list[str]]) -> str:
    return ", ".join(f"{name}={text}" for name, texts in filters.items() for text in texts)
