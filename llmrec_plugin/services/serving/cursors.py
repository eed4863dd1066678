"""What a cursor says, signed: which list was kept, and where its next page begins."""

from __future__ import annotations

import uuid

from django.core import signing

from llmrec_plugin.conf import get_settings
from llmrec_plugin.exceptions import InvalidCursor

SALT = "llmrec_plugin.cursor"


def signed_cursor(request_id: uuid.UUID, start: int, limit: int, text: str) -> str:
    """Return the cursor, signed.

    It carries the query so that later pages can highlight what the list must not remember.
    """
    return signing.dumps([request_id.hex, start, limit, text], salt=SALT, compress=True)


def read_cursor(cursor: str) -> tuple[uuid.UUID, int, int, str]:
    lifetime = get_settings().LIMITS.page_lifetime_seconds
    try:
        request_id, start, limit, text = signing.loads(cursor, salt=SALT, max_age=lifetime)
    except signing.SignatureExpired:
        raise InvalidCursor("This list has expired: search again.") from None
    except (signing.BadSignature, ValueError, TypeError):  # forged, or made by another release
        raise InvalidCursor("This cursor was not made here: take `next` as it was given.") from None
    return uuid.UUID(request_id), start, limit, text
