"""Fills the shop from its fixture, in bulk and in one transaction: all of it or nothing."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from django.db import connection, transaction

from project.shop.models import Invoice, InvoiceLine, Product
from project.shop.purchase_file import Purchase, read_purchases
from project.storefront.accounts import CUSTOMER, create_users

SOLD_OUT_AFTER = timedelta(days=90)
"""What nobody has bought for so long counts as not available; the source does not tell."""


@transaction.atomic
def load_shop(fixtures: Path, *, last_day: date) -> bool:
    """Load the catalogue and all purchases, moved in time so that the last falls on `last_day`.

    False: there were products already, and nothing was touched.
    """
    if Product.objects.exists():
        return False
    purchases = list(read_purchases(fixtures / "shop_purchases.xz"))
    shift = timedelta(days=(last_day - max(purchase.at for purchase in purchases).date()).days)
    products = _create_products(fixtures / "shop_products.csv", _sold(purchases, shift))
    invoices = _create_invoices(purchases, shift)
    _insert_lines(purchases, invoices, products)
    return True


def _sold(purchases: Iterable[Purchase], shift: timedelta) -> dict[int, tuple[datetime, datetime]]:
    """Times of the first and of the last purchase by row of the products file."""
    sold: dict[int, tuple[datetime, datetime]] = {}
    for purchase in sorted(purchases, key=lambda purchase: purchase.at):
        at = purchase.at + shift
        for line in purchase.lines:
            first, _last = sold.get(line.product, (at, at))
            sold[line.product] = (first, at)
    return sold


def _create_products(path: Path, sold: dict[int, tuple[datetime, datetime]]) -> list[Product]:
    sold_out = max(last for _first, last in sold.values()) - SOLD_OUT_AFTER
    with path.open(encoding="utf-8", newline="") as file:
        products = [
            Product(
                code=row["code"],
                title=row["title"],
                description=row["description"],
                department=row["department"],
                price=Decimal(row["price"]),
                first_sold=sold[number][0],
                is_available=sold[number][1] >= sold_out,
            )
            for number, row in enumerate(csv.DictReader(file))
        ]
    return Product.objects.bulk_create(products)


def _create_invoices(purchases: Sequence[Purchase], shift: timedelta) -> list[Invoice]:
    names = {purchase.customer: f"{CUSTOMER}{purchase.customer}" for purchase in purchases}
    users = create_users((names[customer], f"Customer {customer}") for customer in sorted(names))
    return Invoice.objects.bulk_create(
        [Invoice(number=p.number, customer=users[names[p.customer]], created=p.at + shift) for p in purchases]
    )


def _insert_lines(
    purchases: Sequence[Purchase], invoices: Sequence[Invoice], products: Sequence[Product]
) -> None:
    """Plain rows: making objects of all 386,000 would take ten times as long."""
    table = connection.ops.quote_name(InvoiceLine._meta.db_table)
    statement = f"INSERT INTO {table} (invoice_id, product_id, quantity) VALUES (%s, %s, %s)"
    with connection.cursor() as cursor:
        for purchase, invoice in zip(purchases, invoices, strict=True):
            rows = [(invoice.pk, products[line.product].pk, line.quantity) for line in purchase.lines]
            cursor.executemany(statement, rows)
