"""Everything that is kept of a user, as they may take it along."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from llmrec_plugin.models import ArmAssignment, Consent, Impression, Interaction, UserEmbedding
from llmrec_plugin.services.privacy.consent import check_user_key


def export_user(user_key: str) -> dict[str, Any]:
    """Return all that is stored about the user, in types that JSON knows; raise InvalidRequest for no key."""
    check_user_key(user_key)
    consent = Consent.objects.filter(user_key=user_key).values("granted", "at").first()
    interactions = Interaction.objects.filter(user_key=user_key).order_by("at", "id")
    impressions = Impression.objects.filter(user_key=user_key).order_by("at", "request_id")
    return {
        "user_key": user_key,
        "consent": _plain(consent) if consent else None,
        "interactions": [
            _plain(row)
            for row in interactions.values(
                "document",
                "item_id",
                "kind",
                "value",
                "at",
                "request_id",
                "position",
                "event_id",
                "received_at",
            )
        ],
        "impressions": [
            _plain(row)
            for row in impressions.values(
                "request_id",
                "document",
                "placement",
                "query",
                "ranking",
                "shown",
                "seen",
                "total",
                "arm",
                "at",
            )
        ],
        "arm_assignments": [
            _plain(row)
            for row in ArmAssignment.objects.filter(user_key=user_key)
            .order_by("id")
            .values("experiment", "arm")
        ],
        "embeddings": [
            {
                "encoder": row.encoder_id,
                "updated_at": row.updated_at.isoformat(),
                "vector": row.as_array().tolist(),
            }
            for row in UserEmbedding.objects.filter(user_key=user_key).order_by("encoder_id")
        ],
    }


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool | list | dict):
        return value
    return str(value)
