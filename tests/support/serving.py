"""A small shop with an index, and people who buy in it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from llmrec_plugin.models import IndexVersion, Interaction
from llmrec_plugin.services.indexing.index_build import build
from tests.hostapp.models import Brand, Category, Product
from tests.support.snapshots import built_once

THEMES = {
    "coffee": ["espresso machine", "coffee grinder", "milk frother", "coffee beans", "filter kettle"],
    "garden": ["garden hose", "lawn mower", "flower pot", "seed tray", "watering can"],
    "desk": ["desk lamp", "office chair", "paper tray", "fountain pen", "ink bottle"],
}
MATERIALS = ["steel", "wooden", "plastic", "paper"]


def stock(copies: int = 2) -> dict[str, Product]:
    """Products by title: each theme's things in `copies` materials; stored without signals, as a load is."""
    brand = Brand.objects.create(name="Acme")
    categories = {theme: Category.objects.create(name=theme) for theme in THEMES}
    themes = {
        f"{material} {thing}": (theme, thing, material)
        for theme, things in THEMES.items()
        for material in MATERIALS[:copies]
        for thing in things
    }
    products = Product.objects.bulk_create(
        Product(
            title=title,
            description=f"A {thing} for {theme} lovers, made of {material}.",
            brand=brand,
            price=number,
            in_stock=number % 3 != 1,
            created=timezone.now(),
        )
        for number, (title, (theme, thing, material)) in enumerate(themes.items(), start=1)
    )
    Product.categories.through.objects.bulk_create(
        Product.categories.through(product=product, category=categories[themes[product.title][0]])
        for product in products
    )
    return {product.title: product for product in products}


def open_shop(copies: int = 2) -> dict[str, Product]:
    """`stock`, indexed and live; without the floor, which would leave little of a shop this small."""
    built_once(f"shop of {copies}", lambda: _build(copies))
    return {product.title: product for product in Product.objects.order_by("pk")}


def _build(copies: int) -> None:
    stock(copies)
    build("product")
    IndexVersion.objects.update(floor=None)


def silent() -> override_settings:
    """The engine does not answer."""
    return override_settings(LLMREC={**settings.LLMREC, "BACKEND": "llmrec_plugin.contracts.silent_engine"})


def did(
    user: str,
    kind: str,
    items: Iterable[Product],
    *,
    at: datetime | None = None,
    document: str = "product",
) -> None:
    """The user did it, the last of the items latest, a minute apart."""
    at = at or timezone.now() - timedelta(hours=1)
    Interaction.objects.bulk_create(
        Interaction(
            user_key=user,
            document=document,
            item_id=str(item.pk),
            kind=kind,
            at=at + timedelta(minutes=minute),
        )
        for minute, item in enumerate(items)
    )
