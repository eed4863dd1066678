"""Whom the demo proposes to look at the site as: customers with a clear taste, and learners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.cache import cache
from django.db.models import Count
from django.utils.text import Truncator

from project.school.models import Learner
from project.shop.models import Department, InvoiceLine

CACHE_KEY = "storefront-people"
CACHE_SECONDS = 3600
LINES = (30, 200)
"""Customers with fewer lines show little, those with more are wholesalers who buy everything."""
LEARNERS = 14


@dataclass(frozen=True, slots=True)
class Person:
    username: str
    department: str = ""
    """Where a customer buys most."""
    note: str = ""
    """A learner's interests in their own words."""

    @property
    def department_name(self) -> str:
        return str(Department(self.department).label) if self.department else ""


def proposed_people() -> tuple[Sequence[Person], Sequence[Person]]:
    """(customers, learners); reading all invoices takes a second, hence the cache."""
    people: tuple[list[Person], list[Person]] | None = cache.get(CACHE_KEY)
    if people is None:
        people = (_customers(), _learners())
        if all(people):
            cache.set(CACHE_KEY, people, CACHE_SECONDS)
    return people


def _customers() -> list[Person]:
    """For each department the customer with the largest share of their lines in it."""
    rows = InvoiceLine.objects.order_by().values_list("invoice__customer__username", "product__department")
    by_department = list(rows.annotate(lines=Count("pk")))
    totals: dict[str, int] = {}
    for username, _, lines in by_department:
        totals[username] = totals.get(username, 0) + lines
    best: dict[str, tuple[float, str]] = {}
    for username, department, lines in by_department:
        if LINES[0] <= totals[username] <= LINES[1]:
            share = lines / totals[username]
            best[department] = max(best.get(department, (0.0, "")), (share, username))
    people = [Person(username=name, department=department) for department, (_, name) in sorted(best.items())]
    return list({person.username: person for person in people}.values())


def _learners() -> list[Person]:
    """The first few; every twelfth has said what they like but not enrolled anywhere yet."""
    learners = Learner.objects.select_related("user").order_by("pk")[:LEARNERS]
    return [
        Person(
            username=learner.user.username,
            note=f"{learner.user.first_name}: {Truncator(learner.interests).chars(60)}",
        )
        for learner in learners
    ]
