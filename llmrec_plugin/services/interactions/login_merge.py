"""Hands what a visitor did to the user they turn out to be."""

from __future__ import annotations

from django.db import transaction

from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import Consent, Impression, Interaction, own
from llmrec_plugin.services.experiments import assignment
from llmrec_plugin.services.interactions.recording import announce
from llmrec_plugin.services.privacy import consent as privacy
from llmrec_plugin.services.privacy import derived_data
from llmrec_plugin.types import ANONYMOUS


def merge(anonymous_key: str, user_key: str) -> int:
    """Make a visitor's events those of the user they logged in as; return how many moved.

    The user's own choice on consent stands over the visitor's; where the user has refused, what the
    visitor left is deleted instead of being tied to them.
    """
    privacy.check_user_key(user_key)
    if not anonymous_key.startswith(ANONYMOUS) or user_key.startswith(ANONYMOUS):
        raise InvalidRequest(
            f'Only the events of a visitor ("{ANONYMOUS}…") can be merged into a user\'s.',
            parameter="anonymous_key",
        )
    with transaction.atomic(using=own.database()):
        consent = Consent.objects.filter(user_key=anonymous_key).first()
        if consent is not None:
            Consent.objects.get_or_create(user_key=user_key, defaults={"granted": consent.granted})
            consent.delete()
        interactions = Interaction.objects.filter(user_key=anonymous_key)
        impressions = Impression.objects.filter(user_key=anonymous_key)
        if not privacy.may_personalise(user_key):
            interactions.delete()
            impressions.delete()
            privacy.drop_derived(anonymous_key)
            return 0
        assignment.carry_over_assignments(anonymous_key, user_key)
        impressions.update(user_key=user_key)
        moved = interactions.update(user_key=user_key)
        if moved:
            derived_data.forget([anonymous_key])
            announce([user_key])
        return moved
