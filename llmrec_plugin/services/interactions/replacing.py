"""Makes stored events equal to what the site's own rows tell now, and writes nothing but differences."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import router, transaction
from django.utils import timezone

from llmrec_plugin.conf import get_settings
from llmrec_plugin.models import Interaction
from llmrec_plugin.services.interactions.recording import NewInteraction, announce, valid_rows
from llmrec_plugin.services.privacy import consent, erasure_marks

COMPARED = ("user_key", "document", "item_id", "kind", "value", "at")


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Counts events by what was done to them."""

    added: int = 0
    changed: int = 0
    removed: int = 0


def replace_events(ids: Collection[str], told: Sequence[NewInteraction], *, mend: bool = True) -> Differences:
    """Make the stored events of these ids those that are told, and leave those alone that are so already.

    Not stored, as if nothing told them: what makes no sense, is older than LLMREC["EVENT_RETENTION_DAYS"], or
    comes from before its user was erased. Of users without consent nothing new is stored, and what is there
    stays. Without `mend` differences are only counted; while LLMREC["ENABLED"] is off there are none.
    """
    if not get_settings().ENABLED:
        return Differences()
    alias = router.db_for_write(Interaction)
    with transaction.atomic(using=alias):
        known = {row.event_id: row for row in Interaction.objects.using(alias).filter(event_id__in=ids)}
        wanted = _wanted(told)
        allowed = consent.consenting({row.user_key for row in wanted.values()})
        new = [row for key, row in wanted.items() if key not in known and row.user_key in allowed]
        gone = [row for key, row in known.items() if not _stays(row, wanted.get(key), allowed)]
        differing = [
            (known[key], row)
            for key, row in wanted.items()
            if key in known and row.user_key in allowed and _differs(known[key], row)
        ]
        if mend and (new or gone or differing):
            touched = {row.user_key for pair in differing for row in pair}
            touched |= {row.user_key for row in (*new, *gone)}
            _write(alias, new, [_updated(*pair) for pair in differing], gone)
            announce(touched)
    return Differences(added=len(new), changed=len(differing), removed=len(gone))


def _stays(known: Interaction, wanted: Interaction | None, allowed: Collection[str]) -> bool:
    return wanted is not None and (wanted.user_key in allowed or wanted.user_key == known.user_key)


def _wanted(told: Sequence[NewInteraction]) -> dict[str | None, Interaction]:
    oldest = timezone.now() - timedelta(days=get_settings().EVENT_RETENTION_DAYS)
    rows, _reasons = valid_rows(told)
    erased = erasure_marks.erased_until({row.user_key for row in rows.values()})
    return {
        row.event_id: row
        for row in rows.values()
        if row.at >= oldest and (row.user_key not in erased or row.at > erased[row.user_key])
    }


def _differs(known: Interaction, wanted: Interaction) -> bool:
    return any(getattr(known, name) != getattr(wanted, name) for name in COMPARED)


def _updated(known: Interaction, wanted: Interaction) -> Interaction:
    for name in COMPARED:
        setattr(known, name, getattr(wanted, name))
    return known


def _write(
    alias: str, new: Sequence[Interaction], changed: Sequence[Interaction], gone: Sequence[Interaction]
) -> None:
    events = Interaction.objects.using(alias)
    if gone:
        events.filter(pk__in=[row.pk for row in gone]).delete()
    if changed:
        events.bulk_update(changed, COMPARED)
    if new:
        events.bulk_create(new, ignore_conflicts=True)
