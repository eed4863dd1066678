"""The configuration, set by code instead of in the admin: of a site's deployment, or of its first data."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError

from llmrec_plugin.documents.signals import signals
from llmrec_plugin.exceptions import ConfigurationError, InvalidRequest
from llmrec_plugin.models import Configuration
from llmrec_plugin.suggest import hint


def configure(*, by: str, if_untouched: bool = False, **values: Any) -> bool:
    """Set fields of the configuration as the admin does: checked, on record, in effect on the next request.

    `by`: who is named in its history. `if_untouched`: leave alone what somebody has saved already. Returns
    whether the values were set. Raises InvalidRequest for a name that is no field and for a value that the
    field does not take.
    """
    known = Configuration.tunable()
    for name in values:
        if name not in known:
            raise InvalidRequest(
                f'The configuration has no field "{name}". {hint(name, known)}', parameter=name
            )
    check_signals(values.get("signal_weights"))
    if if_untouched and Configuration.objects.exists():
        return False
    configuration = Configuration.current()
    for name, value in values.items():
        setattr(configuration, name, value)
    try:
        configuration.full_clean(validate_unique=False)
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        raise InvalidRequest(f"{name}: {' '.join(messages)}", parameter=name) from error
    configuration.changed_by = by
    configuration.save()
    return True


def check_signals(weights: object) -> None:
    """Raise InvalidRequest, naming the nearest, where there is a weight of a signal that nobody declared."""
    for name in weights if isinstance(weights, dict) else ():
        try:
            signals.get(name)
        except ConfigurationError as error:
            raise InvalidRequest(f"signal_weights: {error}", parameter="signal_weights") from error
