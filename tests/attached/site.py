"""A site that fills its own strict index by plain elasticsearch-py, and the document that attaches to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from elasticsearch import Elasticsearch

from llmrec_plugin.documents import AttachedIndex, SearchDocument
from tests.hostapp.models import Product

INDEX = "site-products"
MAPPINGS: dict[str, Any] = {
    "dynamic": "strict",
    "properties": {
        "title": {"type": "text", "analyzer": "simple"},
        "description": {"type": "text"},
        "brand": {"properties": {"id": {"type": "integer"}, "name": {"type": "keyword"}}},
        "price": {"type": "double"},
        "in_stock": {"type": "boolean"},
        "created": {"type": "date"},
    },
}


class AttachedProduct(SearchDocument[Product]):
    """`_id` is not the primary key, and no filter but the price is called as its field is."""

    model = Product
    label = "attached"
    text_fields = {"title": 3, "description": 1}
    filter_fields = {"maker": "brand", "price": "price", "available": "in_stock", "since": "created"}
    attached = AttachedIndex(
        INDEX,
        text_fields=["title^3", "description"],
        filters={"maker": "brand.id", "available": "in_stock", "since": "created"},
        id=lambda key: f"product-{key}",
        key=lambda found: found.removeprefix("product-") if found.startswith("product-") else None,
    )

    def get_queryset(self) -> QuerySet[Product]:
        return super().get_queryset().filter(is_draft=False)


@dataclass
class Site:
    """What the site's own code does with its index."""

    client: Elasticsearch
    index: str = INDEX

    def create(self, name: str = "", **settings: Any) -> None:
        self.client.indices.create(index=name or self.index, mappings=MAPPINGS, settings=settings)

    def put(self, *products: Product, index: str = "") -> None:
        """The whole document, as sites do; what others added to it is gone."""
        for product in products:
            self.client.index(
                index=index or self.index, id=f"product-{product.pk}", document=body(product), refresh=True
            )

    def delete(self, product: Product) -> None:
        self.client.delete(index=self.index, id=f"product-{product.pk}", refresh=True)

    def source(self, product: Product) -> dict[str, Any]:
        """Without what is not the site's."""
        found = self.client.get(index=self.index, id=f"product-{product.pk}")["_source"]
        return {name: value for name, value in found.items() if not name.startswith("llmrec")}

    def rebuild(self, *products: Product) -> None:
        """Delete it and make it again."""
        self.client.indices.delete(index=self.index)
        self.create()
        self.put(*products)

    def clean(self) -> None:
        found = self.client.options(ignore_status=404).indices.get_alias(index=f"{self.index}*")
        for name in found.body:
            self.client.indices.delete(index=name, ignore_unavailable=True)


def body(product: Product) -> dict[str, Any]:
    return {
        "title": product.title,
        "description": product.description,
        "brand": {"id": product.brand_id, "name": product.brand.name if product.brand else None},
        "price": float(product.price),
        "in_stock": product.in_stock,
        "created": product.created.isoformat(),
    }
