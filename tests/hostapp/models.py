"""A host site's own models, as varied as real ones: foreign keys, many-to-many, UUID keys, drafts."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Brand(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Category(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    title = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")
    brand = models.ForeignKey(
        Brand, null=True, blank=True, on_delete=models.SET_NULL, related_name="products"
    )
    categories = models.ManyToManyField(Category, blank=True, related_name="products")
    labels: models.ManyToManyField[Label, ProductLabel] = models.ManyToManyField(
        "Label", blank=True, through="ProductLabel", related_name="products"
    )
    price = models.DecimalField(max_digits=10, decimal_places=2, default=0)
    in_stock = models.BooleanField(default=True)
    is_draft = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.title


class Label(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class ProductLabel(models.Model):
    product = models.ForeignKey(Product, on_delete=models.CASCADE)
    label = models.ForeignKey(Label, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return f"{self.label_id} on {self.product_id}"


class Review(models.Model):
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="reviews")
    text = models.TextField()

    def __str__(self) -> str:
        return self.text


class DiscountedProduct(Product):
    class Meta:
        proxy = True


class ClearanceProduct(Product):
    reason = models.CharField(max_length=100)


class Course(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=200)
    body = models.TextField(blank=True, default="")
    language = models.CharField(max_length=10, default="en")
    level = models.PositiveSmallIntegerField(default=1)
    starts = models.DateField(null=True, blank=True)
    prerequisites = models.ManyToManyField("self", symmetrical=False, blank=True, related_name="leads_to")

    def __str__(self) -> str:
        return self.title


class Learner(models.Model):
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    interests = models.TextField(blank=True, default="")
    level = models.PositiveSmallIntegerField(null=True, blank=True)

    def __str__(self) -> str:
        return f"learner {self.pk}"


class Order(models.Model):
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE)
    """None: a guest's, who may claim it later."""
    created = models.DateTimeField()
    status = models.CharField(max_length=20, default="paid")

    def __str__(self) -> str:
        return f"order {self.pk}"


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.CASCADE)
    quantity = models.PositiveIntegerField(default=1)

    def __str__(self) -> str:
        return f"line {self.pk}"
