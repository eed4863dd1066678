"""The shop in the admin: products to edit, invoices to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin

from project.shop.models import Invoice, InvoiceLine, Product

if TYPE_CHECKING:
    ProductAdminBase = admin.ModelAdmin[Product]
    InvoiceAdminBase = admin.ModelAdmin[Invoice]
    LineInlineBase = admin.TabularInline[InvoiceLine, Invoice]
else:
    ProductAdminBase = InvoiceAdminBase = admin.ModelAdmin
    LineInlineBase = admin.TabularInline


@admin.register(Product)
class ProductAdmin(ProductAdminBase):
    list_display = ["title", "code", "department", "price", "is_available", "is_visible"]
    list_filter = ["department", "is_available", "is_visible"]
    search_fields = ["title", "code"]
    show_facets = admin.ShowFacets.NEVER


class LineInline(LineInlineBase):
    model = InvoiceLine
    fields = ["product", "quantity"]
    autocomplete_fields = ["product"]
    extra = 0


@admin.register(Invoice)
class InvoiceAdmin(InvoiceAdminBase):
    list_display = ["number", "customer", "created"]
    list_select_related = ["customer"]
    raw_id_fields = ["customer"]
    search_fields = ["=number", "=customer__username"]
    date_hierarchy = "created"
    inlines = [LineInline]
