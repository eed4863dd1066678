"""Events of the site's users: checked, and recorded with consent."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from llmrec_plugin import moments
from llmrec_plugin.analysis.text import is_storable
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.event_kinds import event_kinds, unknown_kind
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import Interaction
from llmrec_plugin.services.interactions.history import existing_keys
from llmrec_plugin.services.privacy import consent as privacy
from llmrec_plugin.services.privacy import derived_data
from llmrec_plugin.suggest import hint

MAX_ITEM_ID = 255
MAX_EVENT_ID = 100
LARGEST_VALUE = 10**12
"""Of an event, up or down: no rating and no price is larger, and what is would drown all others."""
CHUNK = 1000
NO_CONSENT = "The user has not agreed to being remembered."
SWITCHED_OFF = 'LLMREC["ENABLED"] is off: no events are stored.'
FUTURE_TOLERANCE = timedelta(days=1)
"""A clock that runs ahead by less is taken as now."""


@dataclass(frozen=True, kw_only=True)
class NewInteraction:
    """A frozen record of one event as it comes in."""

    user_key: str
    document: str
    item_id: str
    """The item's primary key as text."""
    kind: str
    """The name of a registered kind of event."""
    value: float | None = None
    """Such as stars; None: it has none."""
    at: datetime | None = None
    """With its zone, unless the site has USE_TZ = False; None: now."""
    request_id: str | uuid.UUID | None = None
    """Of the list that the user acted on."""
    position: int | None = None
    """Place in that list, from 0."""
    event_id: str | None = None
    """The sender's own id: a second event with it is a duplicate."""


@dataclass(frozen=True, kw_only=True)
class RecordReport:
    stored: int
    duplicates: int
    refused: int
    reasons: dict[int, str] = field(default_factory=dict)
    """Position in the call -> why that event was refused."""


def record(
    *,
    user_key: str,
    document: str,
    item_id: object,
    kind: str,
    value: float | None = None,
    at: datetime | None = None,
    request_id: str | uuid.UUID | None = None,
    position: int | None = None,
    event_id: str | None = None,
) -> bool:
    """Store one event; False: not stored, since the user gave no consent, it is a duplicate or
    LLMREC["ENABLED"] is off. Raises InvalidRequest for an event that makes no sense."""
    event = NewInteraction(
        user_key=user_key,
        document=document,
        item_id=str(item_id),
        kind=kind,
        value=value,
        at=at,
        request_id=request_id,
        position=position,
        event_id=event_id,
    )
    row = _validated(event, now=timezone.now())
    if not get_settings().ENABLED or not privacy.may_personalise(user_key):
        return False
    return _insert([row])[0] == 1


def record_many(events: Sequence[NewInteraction], *, check: bool = False) -> RecordReport:
    """Store what can be stored; an event that makes no sense is refused and the others go on.

    With `check`, events about items that the document's queryset does not hold are refused, too
    (one query per document).
    """
    if not get_settings().ENABLED:
        reasons = dict.fromkeys(range(len(events)), SWITCHED_OFF)
        return RecordReport(stored=0, duplicates=0, refused=len(events), reasons=reasons)
    rows, reasons = valid_rows(events)
    _refuse_without_consent(rows, reasons)
    if check:
        _refuse_unknown_items(rows, reasons)
    stored = duplicates = 0
    accepted = list(rows.values())
    for start in range(0, len(accepted), CHUNK):
        inserted, repeated = _insert(accepted[start : start + CHUNK])
        stored, duplicates = stored + inserted, duplicates + repeated
    return RecordReport(
        stored=stored, duplicates=duplicates, refused=len(reasons), reasons=dict(sorted(reasons.items()))
    )


def withdraw(*, user_key: str, document: str, item_id: object, kind: str) -> int:
    """Take back what the user did, as when an item leaves the basket or a wish list; returns how many events
    are gone. Raises InvalidRequest for a kind that nobody declared and for what is no key."""
    privacy.check_user_key(user_key)
    if kind not in event_kinds:
        raise InvalidRequest(unknown_kind(kind), parameter="kind")
    rows = Interaction.objects.filter(user_key=user_key, document=document, item_id=str(item_id), kind=kind)
    gone, _ = rows.delete()
    if gone:
        announce([user_key])
    return gone


def validate(event: NewInteraction, *, now: datetime | None = None) -> None:
    """Raise InvalidRequest, naming the parameter, for an event that could not be stored."""
    _validated(event, now=now or timezone.now())


def valid_rows(events: Sequence[NewInteraction]) -> tuple[dict[int, Interaction], dict[int, str]]:
    """Return (place in the call -> row, not saved) and (place -> why that event makes no sense)."""
    now = timezone.now()
    rows: dict[int, Interaction] = {}
    reasons: dict[int, str] = {}
    for number, event in enumerate(events):
        try:
            rows[number] = _validated(event, now=now)
        except InvalidRequest as error:
            reasons[number] = str(error)
    return rows, reasons


def announce(user_keys: Iterable[str]) -> None:
    """Say of these users that they acted, to whoever keeps what is derived from it."""
    derived_data.acted.send_robust(sender=Interaction, user_keys=list(dict.fromkeys(user_keys)))


def _validated(event: NewInteraction, *, now: datetime) -> Interaction:
    """Return the event as a row; the row is not saved."""
    privacy.check_user_key(event.user_key)
    if event.document not in registry.labels():
        raise InvalidRequest(
            f'There is no document "{event.document}". {hint(event.document, registry.labels())}',
            parameter="document",
        )
    if not event.item_id or len(event.item_id) > MAX_ITEM_ID:
        raise InvalidRequest(f"An item id has 1 to {MAX_ITEM_ID} characters.", parameter="item_id")
    for parameter, text in (("item_id", event.item_id), ("event_id", event.event_id or "")):
        if not is_storable(text):
            raise InvalidRequest("An id is a text without NUL and broken characters.", parameter=parameter)
    if event.kind not in event_kinds:
        raise InvalidRequest(unknown_kind(event.kind), parameter="kind")
    if event.event_id is not None and not 0 < len(event.event_id) <= MAX_EVENT_ID:
        raise InvalidRequest(f"An event id has 1 to {MAX_EVENT_ID} characters.", parameter="event_id")
    return Interaction(
        user_key=event.user_key,
        document=event.document,
        item_id=event.item_id,
        kind=event.kind,
        value=_finite(event.value),
        at=_past(event.at, now=now),
        request_id=_uuid(event.request_id),
        position=_place(event.position),
        event_id=event.event_id,
    )


def _finite(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST_VALUE:
        raise InvalidRequest(
            f"The value of an event is a finite number, at most {LARGEST_VALUE:,}, not {str(value)[:30]}.",
            parameter="value",
        )
    return float(value)


def _past(at: datetime | None, *, now: datetime) -> datetime:
    if at is None:
        return now
    if settings.USE_TZ and timezone.is_naive(at):
        raise InvalidRequest(f"The time {at.isoformat()} has no time zone.", parameter="at")
    at = moments.as_stored(at)
    if at > now + FUTURE_TOLERANCE:
        raise InvalidRequest(f"The time {at.isoformat()} lies in the future.", parameter="at")
    return min(at, now)


def _uuid(request_id: object) -> uuid.UUID | None:
    if request_id is None or isinstance(request_id, uuid.UUID):
        return request_id
    try:
        return uuid.UUID(str(request_id))
    except ValueError:
        raise InvalidRequest(f"{request_id!r} is no request id.", parameter="request_id") from None


def _place(position: object) -> int | None:
    if position is None:
        return None
    if isinstance(position, bool) or not isinstance(position, int) or not 0 <= position < 2**31:
        raise InvalidRequest(f"A position is a whole number from 0, not {position!r}.", parameter="position")
    return position


def _refuse_without_consent(rows: dict[int, Interaction], reasons: dict[int, str]) -> None:
    users = list({row.user_key for row in rows.values()})
    allowed: set[str] = set()
    for start in range(0, len(users), CHUNK):
        allowed |= privacy.consenting(users[start : start + CHUNK])
    for number in [number for number, row in rows.items() if row.user_key not in allowed]:
        reasons[number] = NO_CONSENT
        del rows[number]


def _refuse_unknown_items(rows: dict[int, Interaction], reasons: dict[int, str]) -> None:
    for label in sorted({row.document for row in rows.values()}):
        keys = {row.item_id for row in rows.values() if row.document == label}
        existing = existing_keys(registry.get(label), keys)
        missing = [n for n, row in rows.items() if row.document == label and row.item_id not in existing]
        for number in missing:
            reasons[number] = f'"{label}" has no item "{rows[number].item_id}".'
            del rows[number]


def _insert(rows: Sequence[Interaction]) -> tuple[int, int]:
    """Return (stored, duplicates); a duplicate that another process stores meanwhile does no harm."""
    named = [row.event_id for row in rows if row.event_id is not None]
    seen = set(
        Interaction.objects.filter(event_id__in=named).values_list("event_id", flat=True) if named else ()
    )
    fresh = []
    for row in rows:
        if row.event_id is not None:
            if row.event_id in seen:
                continue
            seen.add(row.event_id)
        fresh.append(row)
    Interaction.objects.bulk_create(fresh, ignore_conflicts=bool(named))
    if fresh:
        announce(row.user_key for row in fresh)
    return len(fresh), len(rows) - len(fresh)
