"""A small shop and a small school with live indexes, and clients that ask them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from llmrec_plugin.services import indexing
from tests.hostapp.models import Brand, Category, Course, Product

PRODUCTS = (
    ("Red kettle", "boils water on a stove", "Acme", "kitchen", "24.50", True),
    ("Blue kettle", "boils water with electricity", "Acme", "kitchen", "39.00", True),
    ("Red teapot", "keeps tea warm", "Bolt", "kitchen", "18.00", False),
    ("Green teapot", "of cast iron", "Bolt", "kitchen", "55.00", True),
    ("Tea cup", "holds hot tea", "Bolt", "kitchen", "6.00", True),
    ("Garden lantern", "lights a garden path", "Acme", "garden", "15.00", True),
    ("Paper lantern", "hangs from trees", "Acme", "garden", "4.00", True),
    ("Watering can", "waters flowers", "Bolt", "garden", "12.00", False),
    ("Flower pot", "red clay for flowers", "Bolt", "garden", "3.00", True),
    ("Wool blanket", "keeps warm in winter", "Acme", "home", "60.00", True),
    ("Red cushion", "soft wool", "Acme", "home", "22.00", True),
    ("Candle", "smells of honey", "Bolt", "home", "5.00", True),
)
COURSES = (
    ("Introduction to machine learning", "models, data, evaluation", "en", 1, date(2026, 9, 1)),
    ("机器学习入门", "模型与数据", "zh", 1, date(2026, 9, 1)),
    ("Linear algebra", "vectors and matrices", "en", 2, date(2026, 10, 5)),
)


@dataclass(frozen=True)
class Site:
    products: dict[str, Product]
    courses: dict[str, Course]

    def key(self, title: str) -> str:
        return str(self.products[title].pk)


@pytest.fixture
def catalogue(db: None) -> Site:
    """Twelve products and three courses, without an index."""
    brands = {name: Brand.objects.create(name=name) for name in ("Acme", "Bolt")}
    categories = {name: Category.objects.create(name=name) for name in ("kitchen", "garden", "home")}
    products: dict[str, Product] = {}
    for title, description, brand, category, price, in_stock in PRODUCTS:
        product = Product.objects.create(
            title=title, description=description, brand=brands[brand], price=price, in_stock=in_stock
        )
        product.categories.add(categories[category])
        products[title] = product
    courses = {
        title: Course.objects.create(title=title, body=body, language=language, level=level, starts=starts)
        for title, body, language, level, starts in COURSES
    }
    return Site(products=products, courses=courses)


@pytest.fixture
def site(catalogue: Site) -> Site:
    """The catalogue with live indexes."""
    for label in ("product", "course"):
        indexing.build(label)
    return catalogue


@pytest.fixture
def api() -> APIClient:
    """Somebody who has never been here."""
    return APIClient()


@pytest.fixture
def customer(db: None) -> User:
    return User.objects.create_user("customer", password="secret")


@pytest.fixture
def customer_api(customer: User) -> APIClient:
    client = APIClient()
    client.force_login(customer)
    return client


@pytest.fixture
def staff_api(db: None) -> APIClient:
    client = APIClient()
    client.force_login(User.objects.create_user("editor", password="secret", is_staff=True))
    return client


@pytest.fixture
def unthrottled(settings: Any) -> None:
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_THROTTLE_RATES": {"llmrec-read": None, "llmrec-write": None},
    }


def assert_problem(response: Any, status: int, code: str, parameter: str | None = None) -> dict[str, Any]:
    """The problem document, after checking what every one of them must have."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(response.content)
    assert (body["status"], body["code"]) == (status, code), body
    assert body["type"]
    assert body["title"]
    assert body["detail"]
    if parameter is not None:
        assert body["parameter"] == parameter, body
    return body
