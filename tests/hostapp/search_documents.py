"""What the test site declares to be found."""

from __future__ import annotations

from django.db.models import QuerySet

from llmrec_plugin.documents import (
    Contribution,
    InteractionSource,
    Progression,
    SearchDocument,
    UserDocument,
    register,
    register_contribution,
)
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


register_contribution(
    Contribution(
        name="campaign",
        label="part of a campaign",
        sentence="On offer with “%(title)s”",
        untitled_sentence="On offer this week",
        source="item",
    )
)
