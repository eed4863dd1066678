"""What events say for or against an item, and who counts as a person: for sums over everybody."""

from __future__ import annotations

from django.db.models import Avg, Case, CharField, Count, F, FloatField, Q, Value, When
from django.db.models.functions import Greatest, Least, Right

from llmrec_plugin.event_kinds import rated_kinds
from llmrec_plugin.ranking.profile import INDIFFERENT_RATING, RATING_REACH
from llmrec_plugin.types import ANONYMOUS
from llmrec_plugin.types.results import NETWORK_DIGITS, NETWORK_SIGN


def liking() -> Avg:
    """Return the mean of `event_kinds.liking_of` over events: -1 against the item to 1 for it."""
    above = (F("value") - Value(INDIFFERENT_RATING)) / Value(RATING_REACH)
    clipped = Greatest(Value(-1.0), Least(Value(1.0), above, output_field=FloatField()))
    return Avg(Case(When(_rated(), then=clipped), default=Value(1.0), output_field=FloatField()))


def in_favour() -> Q:
    """Return the condition of events that speak for an item."""
    return ~_rated() | Q(value__gt=INDIFFERENT_RATING)


def against() -> Q:
    """Return the condition of ratings that speak against an item."""
    return _rated() & Q(value__lt=INDIFFERENT_RATING)


def people(condition: Q | None = None) -> Count:
    """Return the number of distinct people over rows with a `user_key`: users who are logged in, and of
    visitors one for each network that they come from, since a visitor's key costs nothing to renew."""
    visitor = Q(user_key__startswith=ANONYMOUS) & Q(user_key__contains=NETWORK_SIGN)
    network = Right("user_key", NETWORK_DIGITS + len(NETWORK_SIGN))
    person = Case(When(visitor, then=network), default=F("user_key"), output_field=CharField())
    return Count(person, distinct=True, filter=condition)


def _rated() -> Q:
    return Q(kind__in=rated_kinds(), value__isnull=False)
