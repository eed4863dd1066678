"""A small shop with an index, and people who buy in it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from llmrec_plugin.models import IndexVersion, Interaction
from llmrec_plugin.services.indexing.index_build import build
from tests.hostapp.models import Brand, Category, Product

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
    """`stock`, indexed and live; without the floor, which would leave little of a shop this small.

    Hundreds of tests begin with it: each process builds it once for the same settings and lays it out again.
    """
    if connection.vendor != "sqlite" or any(model.objects.exists() for model in _models()):
        return _built(copies)
    own = {name: value for name, value in settings.LLMREC.items() if name != "DATA_DIR"}
    key = json.dumps([copies, settings.USE_TZ, own], sort_keys=True, default=repr)
    if key not in _shops:
        products = _built(copies)
        _shops[key] = _Shop.of_now()
        return products
    _shops[key].lay_out()
    return {product.title: product for product in Product.objects.order_by("pk")}


def _built(copies: int) -> dict[str, Product]:
    products = stock(copies)
    build("product")
    IndexVersion.objects.update(floor=None)
    return products


@cache
def _models() -> list[Any]:
    """Of the tables that a shop may fill, those of plain rows and of pairs alike."""
    return [
        model
        for label in ("hostapp", "llmrec_plugin")
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
    ]


@dataclass(frozen=True)
class _Shop:
    """Every row and file of a shop that was just built."""

    rows: dict[Any, list[dict[str, Any]]]
    folder: tempfile.TemporaryDirectory[str]
    """It goes with the process."""
    at: datetime

    @classmethod
    def of_now(cls) -> _Shop:
        folder = tempfile.TemporaryDirectory(prefix="llmrec-shop-")
        shutil.copytree(settings.LLMREC["DATA_DIR"], folder.name, dirs_exist_ok=True)
        rows = {model: list(model.objects.values()) for model in _models()}
        return cls({model: found for model, found in rows.items() if found}, folder, timezone.now())

    def lay_out(self) -> None:
        """Have it all in the empty database of now, as if it had been built now."""
        shutil.copytree(self.folder.name, settings.LLMREC["DATA_DIR"], dirs_exist_ok=True)
        later = timezone.now() - self.at
        with transaction.atomic():  # references hold when all is there
            for model, rows in self.rows.items():
                model.objects.bulk_create(model(**_moved(row, later)) for row in rows)


def _moved(row: dict[str, Any], later: timedelta) -> dict[str, Any]:
    return {name: value + later if isinstance(value, datetime) else value for name, value in row.items()}


_shops: dict[str, _Shop] = {}


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
