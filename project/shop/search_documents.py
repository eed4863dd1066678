"""What of the shop can be found, and which of its rows tell what customers like."""

from __future__ import annotations

from dataclasses import replace

from django.conf import settings
from django.db.models import QuerySet

from llmrec_plugin.documents import InteractionSource, SearchDocument, Signals, register
from llmrec_plugin.types import PreparedItem
from project.languages import in_all_languages
from project.shop.models import Department, InvoiceLine, Product


@register
class ProductDocument(SearchDocument[Product]):
    """An English catalogue, hence its own encoder: better on English titles, and twice as fast."""

    model = Product
    text_fields = {"title": 3, "description": 1, "code": 1, "department_names": 1}
    filter_fields = ["department", "price", "is_available", "first_sold"]
    signals = Signals(date="first_sold", available="is_available")
    encoder = settings.SHOP_ENCODER
    language = "en"
    date_field = "first_sold"

    def get_queryset(self) -> QuerySet[Product]:
        return super().get_queryset().filter(is_visible=True)

    def prepare_department_names(self, product: Product) -> str:
        return in_all_languages(Department(product.department).label)

    def prepare(self, product: Product) -> PreparedItem | None:
        """Stock code and department are words to be found, not part of what the product means."""
        document = super().prepare(product)
        if document is None:
            return None
        return replace(document, passage=f"{product.title}\n{product.description}".strip())


@register
class InvoiceLineSource(InteractionSource[InvoiceLine]):
    model = InvoiceLine
    document = "product"
    user_field = "invoice__customer_id"
    item_field = "product_id"
    kind = "purchase"
    time_field = "invoice__created"
