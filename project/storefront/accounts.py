"""The sample users of the demo, made in bulk: they cannot log in, so no password is hashed."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User

CUSTOMER = "customer-"
LEARNER = "learner-"


def create_users(names: Iterable[tuple[str, str]]) -> dict[str, User]:
    """Users by username, for pairs of username and full name; those that exist already are kept."""
    unusable = make_password(None)
    wanted = [User(username=username, first_name=name, password=unusable) for username, name in names]
    User.objects.bulk_create(wanted, batch_size=1000, ignore_conflicts=True)
    usernames = {user.username for user in wanted}
    found = User.objects.filter(username__startswith=CUSTOMER) | User.objects.filter(
        username__startswith=LEARNER
    )
    return {user.username: user for user in found if user.username in usernames}


def is_sample(user: User) -> bool:
    """One of the demo's own users, as whom anybody may look at the site."""
    return (
        user.username.startswith((CUSTOMER, LEARNER))
        and not user.is_staff
        and not user.is_superuser
        and not user.has_usable_password()
    )
