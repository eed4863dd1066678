"""Single values of requests, read more strictly than REST framework does, or in a form of our own."""

from __future__ import annotations

import math
import unicodedata
import uuid
from datetime import datetime
from typing import Any

from rest_framework import serializers

from llmrec_plugin import moments
from llmrec_plugin.event_kinds import unknown_kind
from llmrec_plugin.services.interactions.browser_kinds import sendable_kinds


class FiniteFloatField(serializers.FloatField):
    """A number that is one: no NaN, no infinity, no boolean."""

    def to_internal_value(self, data: Any) -> float:
        value = super().to_internal_value(data)
        if isinstance(data, bool) or not math.isfinite(value):
            self.fail("invalid")
        return value


class TextUUIDField(serializers.UUIDField):
    """A UUID written as text: REST framework takes numbers, too, and so `false` for the first of all."""

    def to_internal_value(self, data: Any) -> uuid.UUID:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class QueryTextField(serializers.CharField):
    """What somebody typed or pasted: control characters count as blanks."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        return "".join(" " if unicodedata.category(char) == "Cc" else char for char in text).strip()


class NamesField(serializers.CharField):
    """Names joined by commas, each once."""

    def to_internal_value(self, data: Any) -> list[str]:  # type: ignore[override]
        names = [name.strip() for name in super().to_internal_value(data).split(",")]
        return list(dict.fromkeys(name for name in names if name))


class KindField(serializers.CharField):
    """A kind of event that browsers and apps may send; described by `openapi_schemas`, as registered."""

    def to_internal_value(self, data: Any) -> str:
        kind = super().to_internal_value(data)
        if kind not in (known := sendable_kinds()):
            raise serializers.ValidationError(unknown_kind(kind, known), code="invalid_choice")
        return kind


class MomentField(serializers.DateTimeField):
    """A time in ISO 8601; one without a zone is in the site's, also where its own times have none."""

    def enforce_timezone(self, value: datetime) -> datetime:
        return moments.as_stored(value)
