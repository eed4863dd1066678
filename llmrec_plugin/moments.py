"""Moments as this site has them: aware of their zone, or with USE_TZ = False naive in its TIME_ZONE."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.utils import timezone


def as_stored(at: datetime) -> datetime:
    """Return the moment as columns of the database hold it; one without a zone is in the site's."""
    if settings.USE_TZ:
        return timezone.make_aware(at) if timezone.is_naive(at) else at
    return timezone.make_naive(at, timezone.get_default_timezone()) if timezone.is_aware(at) else at


def local(at: datetime) -> datetime:
    """Return the moment as people here read it on a clock."""
    return timezone.localtime(at) if timezone.is_aware(at) else at
