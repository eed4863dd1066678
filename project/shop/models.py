"""The shop's own tables, as they would be without search or recommendations."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _


class Department(models.TextChoices):
    """Derived from the products' names; the source of the catalogue has none."""

    BAGS = "bags", _("Bags & umbrellas")
    BATH = "bath", _("Bath & wellbeing")
    LIGHTING = "lighting", _("Candles & lighting")
    STATIONERY = "stationery", _("Cards & stationery")
    CHRISTMAS = "christmas", _("Christmas")
    CRAFT = "craft", _("Craft & sewing")
    TEXTILES = "textiles", _("Cushions & textiles")
    EASTER = "easter", _("Easter")
    GARDEN = "garden", _("Garden")
    GIFTS = "gifts", _("Other gifts")
    DECOR = "decor", _("Home decor")
    JEWELLERY = "jewellery", _("Jewellery & accessories")
    KITCHEN = "kitchen", _("Kitchen & dining")
    PARTY = "party", _("Party")
    STORAGE = "storage", _("Storage & furniture")
    TOYS = "toys", _("Toys & games")


class Product(models.Model):
    code = models.CharField(_("stock code"), max_length=12, unique=True)
    title = models.CharField(_("title"), max_length=200)
    description = models.TextField(_("description"), blank=True, default="")
    department = models.CharField(
        _("department"), max_length=20, choices=Department.choices, default=Department.GIFTS, db_index=True
    )
    price = models.DecimalField(
        _("price (£)"), max_digits=8, decimal_places=2, validators=[MinValueValidator(0)]
    )
    is_visible = models.BooleanField(
        _("visible"), default=True, help_text=_("Only visible products can be found.")
    )
    is_available = models.BooleanField(
        _("available"), default=True, help_text=_("What is not can still be found, further down.")
    )
    first_sold = models.DateTimeField(_("first sold"), null=True, blank=True)

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("storefront:product", args=[self.pk])


class Invoice(models.Model):
    number = models.PositiveIntegerField(_("number"), unique=True)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("customer"),
        on_delete=models.CASCADE,
        related_name="invoices",
    )
    created = models.DateTimeField(_("created"), db_index=True)

    class Meta:
        verbose_name = _("invoice")
        verbose_name_plural = _("invoices")
        ordering = ["-created", "-number"]

    def __str__(self) -> str:
        return str(self.number)


class InvoiceLine(models.Model):
    invoice = models.ForeignKey(
        Invoice, verbose_name=_("invoice"), on_delete=models.CASCADE, related_name="lines"
    )
    product = models.ForeignKey(
        Product, verbose_name=_("product"), on_delete=models.CASCADE, related_name="lines"
    )
    quantity = models.PositiveIntegerField(_("quantity"), default=1)

    class Meta:
        verbose_name = _("invoice line")
        verbose_name_plural = _("invoice lines")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product_id}"
