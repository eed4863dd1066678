from __future__ import annotations

from django.conf import settings

from llmrec_plugin.documents import SearchDocument, register
from tests.hostapp.models import Product


@register
class SoldDocument(SearchDocument[Product]):
    model = Product
    label = "sold"
    text_fields = ["title"]
    filter_fields = settings.SOLD_FIELDS
