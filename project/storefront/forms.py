"""What a visitor may ask of the search page, and as whom they may look at the demo."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.types import Filter, Range, Terms
from project.school.models import Level, Subject, TeachingLanguage
from project.shop.models import Department
from project.storefront.accounts import is_sample

SHOP, SCHOOL = "product", "course"
"""Labels of the two documents."""


ORDERS = [("", _("Best match")), ("price", _("Cheapest first")), ("-price", _("Dearest first"))]
"""Sorting of the shop's results."""


class SearchForm(forms.Form):
    """Both kinds of item in one form; filters of the other kind are ignored."""

    q = forms.CharField(label=_("Search"), required=False, max_length=10_000)
    document = forms.ChoiceField(
        label=_("Where"), choices=[(SHOP, _("Shop")), (SCHOOL, _("School"))], required=False
    )
    department = forms.ChoiceField(
        label=_("Department"), choices=[("", _("All departments")), *Department.choices], required=False
    )
    price_from = forms.DecimalField(label=_("Price from (£)"), min_value=Decimal(0), required=False)
    price_to = forms.DecimalField(label=_("Price to (£)"), min_value=Decimal(0), required=False)
    subject = forms.ChoiceField(
        label=_("Subject"), choices=[("", _("All subjects")), *Subject.choices], required=False
    )
    level = forms.ChoiceField(
        label=_("Level"), choices=[("", _("All levels")), *Level.choices], required=False
    )
    language = forms.ChoiceField(
        label=_("Taught in"), choices=[("", _("Any language")), *TeachingLanguage.choices], required=False
    )

    sort = forms.ChoiceField(choices=ORDERS, required=False)

    fields_of = {SHOP: ("department", "price_from", "price_to"), SCHOOL: ("subject", "level", "language")}

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data, label_suffix="")

    def clean_document(self) -> str:
        return str(self.cleaned_data["document"] or SHOP)

    def clean(self) -> dict[str, Any]:
        low, high = self.cleaned_data.get("price_from"), self.cleaned_data.get("price_to")
        if low is not None and high is not None and low > high:
            self.add_error("price_to", ValidationError(_("The highest price is below the lowest.")))
        return self.cleaned_data

    def filter_fields(self) -> list[forms.BoundField]:
        """The filters that fit the chosen document."""
        chosen = self.data.get("document") or SHOP
        return [self[name] for name in self.fields_of.get(chosen, self.fields_of[SHOP])]

    def narrowed(self) -> bool:
        """Whether some filter of the chosen document is in use."""
        return any(field.data for field in self.filter_fields())

    def filters(self) -> tuple[Filter, ...]:
        """The valid form's filters in the words of the search service."""
        data = self.cleaned_data
        if data["document"] == SHOP:
            found = [_terms("department", data["department"]), _price(data["price_from"], data["price_to"])]
        else:
            level = float(data["level"]) if data["level"] else ""
            found = [
                _terms("subject", data["subject"]),
                _terms("level", level),
                _terms("language", data["language"]),
            ]
        return tuple(wanted for wanted in found if wanted is not None)


def _terms(field: str, value: str | float) -> Terms | None:
    return Terms(field=field, values=(value,)) if value else None


def _price(low: Decimal | None, high: Decimal | None) -> Range | None:
    if low is None and high is None:
        return None
    return Range(
        field="price",
        gte=float(low) if low is not None else None,
        lte=float(high) if high is not None else None,
    )


class ViewAsForm(forms.Form):
    """Empty: as oneself."""

    username = forms.CharField(required=False, max_length=150)

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"].strip()
        if not username:
            return ""
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None or not is_sample(user):
            raise ValidationError(_("There is no sample user of that name."))
        return username
