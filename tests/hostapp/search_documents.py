"""What the test site declares to be found."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet
from django.utils.translation import ngettext_lazy

from llmrec_plugin.documents import (
    Contribution,
    EventKind,
    InteractionSource,
    Progression,
    SearchDocument,
    SignalContext,
    Signals,
    UserDocument,
    ValueSignal,
    register,
    register_contribution,
    register_event_kind,
    register_signal,
)
from llmrec_plugin.services.recommendations import ListStrategy, RecommendationContext, register_strategy
from llmrec_plugin.types import RankedItem, Scalar
from tests.hostapp.models import Brand, Category, Course, Learner, OrderLine, Product


@register
class ProductDocument(SearchDocument[Product]):
    model = Product
    text_fields = {"title": 3, "description": 1, "brand__name": 1}
    filter_fields = {
        "brand": "brand",
        "category": "categories__name",
        "price": "price",
        "in_stock": "in_stock",
    }
    related = {Brand: "brand", Category: "categories"}
    date_field = "created"
    signals = Signals(margin="price")

    def get_queryset(self) -> QuerySet[Product]:
        return super().get_queryset().filter(is_draft=False)


@register
class CourseDocument(SearchDocument[Course]):
    model = Course
    text_fields = ["title", "body"]
    filter_fields = ["language", "level", "starts"]
    progression = Progression(requires="prerequisites", level="level", within="language")

    def prepare_language(self, course: Course) -> str:
        return course.language


@register
class LearnerDocument(UserDocument[Learner]):
    model = Learner
    text_fields = ["interests"]
    user_field = "user_id"
    level_field = "level"


@register
class OrderSource(InteractionSource[OrderLine]):
    model = OrderLine
    document = "product"
    user_field = "order__customer_id"
    item_field = "product_id"
    kind = "purchase"
    time_field = "order__created"

    def get_queryset(self) -> QuerySet[OrderLine]:
        return super().get_queryset().filter(order__status="paid")


register_contribution(
    Contribution(
        name="campaign",
        label="part of a campaign",
        sentence="On offer with “%(title)s”",
        untitled_sentence="On offer this week",
        source="item",
    )
)


@register_signal
class Margin(ValueSignal):
    """Lifts what the shop earns most from: a tenth of the price, up to 10."""

    name = "margin"
    kind = "number"
    contribution = Contribution(name="margin", label="margin", sentence="Recommended by the shop")

    def value(self, found: Sequence[Scalar], context: SignalContext) -> float:
        return min(1.0, float(max(found)) / 100)


@register_strategy
class CheapestFirst(ListStrategy):
    name = "cheapest"
    label = "cheapest first"
    help_text = "The items with the lowest prices."
    sentence = "A bargain"
    can_fill = True

    def candidates(self, context: RecommendationContext) -> list[RankedItem]:
        rows = context.document.get_queryset().order_by("price", "pk")
        return self.in_order(rows.values_list("pk", flat=True)[: context.reach])


register_event_kind(
    EventKind(
        name="like",
        label="liked",
        weight=3.0,
        because="Because you liked “%(title)s”",
        others="People who liked “%(title)s” also liked this",
        weekly=ngettext_lazy("Liked %(count)d time this week", "Liked %(count)d times this week", "count"),
    )
)
