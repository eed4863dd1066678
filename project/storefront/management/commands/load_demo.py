"""`manage.py load_demo`: fill the demo site; run again, it leaves alone what is there."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand
from django.utils import timezone

from llmrec_plugin.documents import InteractionSource, registry
from llmrec_plugin.services import curation, interactions
from project.school.loading import load_school
from project.school.models import Course, Enrolment, Learner
from project.shop.loading import load_shop
from project.shop.models import Invoice, InvoiceLine, Product


class Command(BaseCommand):
    help = (
        "Load the sample shop and school. All times are moved so that the last purchase was yesterday. "
        "What is loaded already stays as it is."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        yesterday = (timezone.now() - timedelta(days=1)).date()
        started = time.monotonic()
        new_shop = load_shop(settings.FIXTURES, last_day=yesterday)
        self._say(
            "shop",
            new_shop,
            f"{Product.objects.count()} products, {Invoice.objects.values('customer').distinct().count()} "
            f"customers, {Invoice.objects.count()} invoices, {InvoiceLine.objects.count()} lines",
        )
        new_school = load_school(settings.FIXTURES, last_day=yesterday)
        self._say(
            "school",
            new_school,
            f"{Course.objects.count()} courses, {Learner.objects.count()} learners, "
            f"{Enrolment.objects.count()} enrolments",
        )
        for source in registry.interaction_sources:
            self._take_over(source)
        self._create_superuser()
        self._weigh_signals()
        self.stdout.write(f"done in {time.monotonic() - started:.0f} s")

    def _say(self, name: str, new: bool, counts: str) -> None:
        self.stdout.write(f"{name}: {counts} ({'loaded' if new else 'there already'})")

    def _take_over(self, source: InteractionSource[Any]) -> None:
        """Make the site's own rows known as events; counting first saves comparing 386,000 of them."""
        if interactions.taken_over(source) < source.get_queryset().count():
            new = interactions.reconcile(source).added
            self.stdout.write(f"{source.document}: {new} events of kind {source.kind} taken over")

    def _create_superuser(self) -> None:
        """A well-known password is for a developer's own machine only."""
        if not settings.DEBUG or User.objects.filter(is_superuser=True).exists():
            return
        User.objects.create_superuser("admin", password="admin")  # noqa: S106
        self.stdout.write("admin: user admin, password admin (because DEBUG is on)")

    def _weigh_signals(self) -> None:
        """What is new or available stands somewhat higher, and of one teacher at first two courses."""
        weights = {"freshness_weight": 0.05, "availability_weight": 0.1, "most_per_group": 2}
        curation.configure(by="load_demo", if_untouched=True, **weights)
