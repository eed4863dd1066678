"""An editor in the admin."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def editor(client: Client, db: None) -> Client:
    """The client of somebody who may do everything."""
    client.force_login(User.objects.create_superuser("editor"))
    return client
