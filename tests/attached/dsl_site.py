"""A site whose strict indexes are written by django-elasticsearch-dsl, with and without the mixin of ours."""

from __future__ import annotations

from django.db.models import QuerySet
from django_elasticsearch_dsl import Document, fields
from django_elasticsearch_dsl.registries import registry
from elasticsearch.dsl import MetaField

from llmrec_plugin.contrib.django_elasticsearch_dsl import KeepsVectors
from llmrec_plugin.documents import AttachedIndex, SearchDocument
from tests.hostapp.models import Product


class ProductFields(Document):  # type: ignore[misc]
    brand = fields.ObjectField(properties={"id": fields.IntegerField(), "name": fields.KeywordField()})

    class Meta:
        dynamic = MetaField("strict")

    def should_index_object(self, obj: Product) -> bool:
        return not obj.is_draft


@registry.register_document
class PlainProduct(ProductFields):
    class Index:
        name = "dsl-plain"

    class Django:
        model = Product
        fields = ["title", "description", "price", "in_stock", "created"]


@registry.register_document
class CarryingProduct(KeepsVectors, ProductFields):
    class Index:
        name = "dsl-carrying"

    class Django:
        model = Product
        fields = ["title", "description", "price", "in_stock", "created"]


class _Searched(SearchDocument[Product]):
    model = Product
    text_fields = {"title": 3, "description": 1}
    filter_fields = {"brand": "brand", "price": "price", "in_stock": "in_stock"}

    def get_queryset(self) -> QuerySet[Product]:
        return super().get_queryset().filter(is_draft=False)


class PlainSearch(_Searched):
    label = "plain"
    attached = AttachedIndex("dsl-plain", filters={"brand": "brand.id"})


class CarryingSearch(_Searched):
    label = "carrying"
    attached = AttachedIndex("dsl-carrying", filters={"brand": "brand.id"})
