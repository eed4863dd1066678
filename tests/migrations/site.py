"""The host's own rows, which no dump holds: the same, with the same keys, whenever they are made."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import User

from tests.hostapp.models import Brand, Category, Course, Learner, Order, OrderLine, Product

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
THINGS = {
    "coffee": ["espresso machine", "coffee grinder", "milk frother", "filter kettle"],
    "garden": ["garden hose", "lawn mower", "flower pot", "watering can"],
    "desk": ["desk lamp", "office chair", "paper tray", "fountain pen"],
}
ANN, BEN, EDITOR = 1, 2, 9
"""Keys of a customer, of one who has refused, and of somebody who may see the admin."""
RENAMED = "Brass watering can"
"""What one product is called since the last drain."""


def open_site(*, renamed: bool) -> None:
    """Make the rows, without telling the plugin; `renamed`: as they stood when the dump was made."""
    brand = Brand.objects.create(pk=1, name="Acme")
    pk = 0
    for number, (theme, things) in enumerate(THINGS.items(), start=1):
        category = Category.objects.create(pk=number, name=theme)
        for thing in things:
            pk += 1
            title = RENAMED if renamed and thing == "watering can" else thing.capitalize()
            product = Product(pk=pk, title=title, description=f"For {theme} lovers.", brand=brand, price=pk)
            Product.objects.bulk_create([product])
            Product.categories.through.objects.bulk_create(
                [Product.categories.through(product=product, category=category)]
            )
    Product.objects.update(created=BEGINNING)
    for number, title in enumerate(["First steps in statistics", "机器学习入门"], start=1):
        Course.objects.bulk_create([Course(pk=uuid.UUID(int=number), title=title, language="en")])
    for user in (ANN, BEN, 3, 4, 5, 6):
        User.objects.create_user(f"customer {user}", id=user)
    User.objects.create_superuser("editor", id=EDITOR)
    Learner.objects.bulk_create([Learner(pk=1, user_id=ANN, interests="statistics and machine learning")])
    _sell()


def _sell() -> None:
    """Hose and mower go together, lamp and chair as well."""
    pairs = [("Garden hose", "Lawn mower"), ("Desk lamp", "Office chair")]
    products = {product.title: product for product in Product.objects.all()}
    for user in (3, 4, 5, 6):
        order = Order.objects.create(pk=user, customer_id=user, created=BEGINNING + timedelta(days=30 + user))
        lines = [OrderLine(order=order, product=products[title]) for title in pairs[user % 2]]
        OrderLine.objects.bulk_create(lines)
