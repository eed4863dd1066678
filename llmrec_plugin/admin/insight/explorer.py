"""Shows any list as any user, beside what it would be otherwise, with every score in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.admin.base import ReadOnlyAdmin, page
from llmrec_plugin.admin.insight.word_attribution import words_page
from llmrec_plugin.documents import registry
from llmrec_plugin.models import (
    Configuration,
    ConfigurationChange,
    Exploration,
    IndexVersion,
    ModelVersion,
    Rule,
)
from llmrec_plugin.services.curation import placements
from llmrec_plugin.services.explorer import comparison
from llmrec_plugin.services.explorer.comparison import ListPreview, ListQuery, ServingOverrides

MAX_CHOICES = 20


@dataclass(frozen=True)
class Side:
    """A frozen record of one list with what stands above it."""

    title: Any
    preview: ListPreview


class ExplorerForm(forms.Form):
    """Asks what is to be shown; sent by GET, so that a look can be kept as a bookmark."""

    document = forms.ChoiceField(label=_("Document"))
    list = forms.ChoiceField(label=_("List"), required=False)
    q = forms.CharField(label=_("Query"), required=False, max_length=500)
    user = forms.CharField(
        label=_("As user"),
        required=False,
        max_length=100,
        help_text=_("User name or key; empty: as a new visitor. Without consent nothing personal is shown."),
    )
    item = forms.CharField(
        label=_("Item of the page"),
        required=False,
        max_length=255,
        help_text=_("Primary key; for lists about an item."),
    )
    against = forms.ChoiceField(label=_("Compare with"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels = registry.labels()
        self.fields["document"].choices = [(label, label) for label in labels]  # type: ignore[attr-defined]
        names = placements.names_of_lists()
        self.fields["list"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]
        label = self.data.get("document") or (labels[0] if labels else "")
        user_key = user_key_of(self.data.get("user", "").strip()) if label in labels else None
        self.fields["against"].choices = _choices(label, user_key)  # type: ignore[attr-defined]

    def list_query(self) -> ListQuery:
        values = self.cleaned_data
        return ListQuery(
            document=values["document"],
            list=values["list"] or "search",
            text=values["q"],
            user_key=user_key_of(values["user"]),
            item=values["item"] or None,
        )


def _choices(label: str, user_key: str | None) -> list[tuple[str, Any]]:
    """Return nothing, and then whatever else could answer for the document.

    Of the user's past each item is there, as if they had never turned to it.
    """
    models = ModelVersion.objects.filter(document=label).order_by("-id")[:MAX_CHOICES]
    indexes = IndexVersion.objects.filter(document=label, state=IndexVersion.State.READY).order_by("-id")
    changes = ConfigurationChange.objects.all()[:MAX_CHOICES]
    drafts = Rule.objects.filter(document=label, enabled=False)[:MAX_CHOICES]
    past = comparison.past_items(label, user_key) if user_key else []
    groups: list[tuple[Any, list[tuple[str, Any]]]] = [
        (_("As if the user had never turned to"), [(f"without:{key}", title) for key, title in past]),
        (_("Configuration of"), [(f"change:{one.pk}", str(one)) for one in changes]),
        (_("With the rule"), [(f"rule:{one.pk}", one.name) for one in drafts]),
        (_("Model version"), [(f"model:{one.pk}", str(one)) for one in models]),
        (_("Index version"), [(f"index:{one.pk}", one.name) for one in indexes[:MAX_CHOICES]]),
    ]
    plain: list[tuple[str, Any]] = [
        ("", _("nothing")),
        ("stranger", _("a new visitor")),
        ("rules", _("the list without rules")),
    ]
    return [*plain, *(group for group in groups if group[1])]


def overrides_of(against: str, configuration: Configuration) -> ServingOverrides:
    """Return what the choice stands for."""
    kind, _sign, pk = against.partition(":")
    if kind == "stranger":
        return ServingOverrides(configuration=configuration, as_stranger=True)
    if kind == "rules":
        return ServingOverrides(configuration=configuration, rules=())
    if kind == "without":
        return ServingOverrides(configuration=configuration, ignoring=frozenset([pk]))
    if kind == "model":
        return ServingOverrides(configuration=configuration, model_version=int(pk))
    if kind == "index":
        return ServingOverrides(configuration=configuration, index_version=int(pk))
    if kind == "rule":
        return ServingOverrides(configuration=configuration, rules=rules_with(Rule.objects.get(pk=pk)))
    change = ConfigurationChange.objects.get(pk=pk)
    return ServingOverrides(configuration=configuration.with_overrides(change.known_values()))


def rules_with(rule: Rule) -> list[Rule]:
    """Return the rules in effect, this one as it is given among them."""
    others = Rule.objects.filter(enabled=True).exclude(pk=rule.pk)
    return sorted([*others, rule], key=lambda one: (one.priority, one.pk or float("inf")))


def user_key_of(text: str) -> str | None:
    """Return the key of the user with that name, or else the text as a key."""
    if not text:
        return None
    user_model = get_user_model()
    user = user_model._default_manager.filter(**{user_model.USERNAME_FIELD: text}).first()
    return text if user is None else str(user.pk)


@admin.register(Exploration)
class ExplorationAdmin(ReadOnlyAdmin):
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.words_view)
        return [path("words/", view, name="llmrec_plugin_exploration_words"), *super().get_urls()]

    def words_view(self, request: HttpRequest) -> HttpResponse:
        """Show which words of one result and of its query carry what both mean."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        given = {name: request.GET.get(name, "") for name in ("document", "q", "item")}
        values = words_page(given["document"], given["q"], given["item"])
        return page(self, request, "exploration/words", values)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = ExplorerForm(request.GET or None)
        values = {
            "title": _("Query explorer"),
            "form": form,
            "explorable": True,
            "meaning_of": form.data.get("q", "") if form.data.get("list") in ("", "search") else "",
            "sides": _answered(form) if form.is_bound and form.is_valid() else [],
            **(extra_context or {}),
        }
        return page(self, request, "exploration/change_list", values)


def _answered(form: ExplorerForm) -> list[Side]:
    list_query, against = form.list_query(), form.cleaned_data["against"]
    configuration = Configuration.current()
    live = ServingOverrides(configuration=configuration)
    if not against:
        return [Side(_("As it is live"), comparison.preview(list_query, live))]
    titles = dict(_flat(form.fields["against"].choices))  # type: ignore[attr-defined]
    previews = comparison.compare(list_query, live, overrides_of(against, configuration))
    return [Side(_("As it is live"), previews[0]), Side(titles[against], previews[1])]


def _flat(choices: Any) -> list[tuple[str, Any]]:
    """Return choices without their groups, which become part of what they say."""
    flat: list[tuple[str, Any]] = []
    for value, text in choices:
        if isinstance(text, list):
            flat += [(one, format_lazy("{}: {}", value, label)) for one, label in text]
        else:
            flat.append((value, text))
    return flat
