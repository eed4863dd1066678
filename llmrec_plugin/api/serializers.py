"""What goes in and comes out, in the shapes that the OpenAPI document shows."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from llmrec_plugin.api.descriptions import component
from llmrec_plugin.api.fields import (
    FiniteFloatField,
    KindField,
    MomentField,
    NamesField,
    QueryTextField,
    TextUUIDField,
)
from llmrec_plugin.services.search import autocomplete

MAX_QUERY_LENGTH = 10_000
MAX_LIMIT = 100
MAX_BASKET_LENGTH = 5_000
MAX_EVENTS = 500


def document_field(
    help_text: str = "Kind of item; needed where the site has several.",
) -> serializers.CharField:
    """The label of a document; empty: there is only one."""
    return serializers.CharField(
        required=False, default="", allow_blank=True, max_length=100, help_text=help_text
    )


class PageParameters(serializers.Serializer[Any]):
    """How much of a list, and from where."""

    cursor = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=5000,
        help_text="Goes on with an earlier list, as its `next` says; that list decides everything else.",
    )
    explain = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Adds `contributions`, the parts of each score, `history` and `probability`; staff only.",
    )


class SearchParameters(PageParameters):
    q = QueryTextField(
        required=False,
        default="",
        allow_blank=True,
        max_length=MAX_QUERY_LENGTH,
        help_text='What to look for; empty lists what passes the filters. "desk lamp" in quotes must occur '
        "as it stands, and what has a minus in front must not: -red.",
    )
    document = document_field()
    facets = NamesField(
        required=False,
        default="",
        allow_blank=True,
        max_length=1000,
        help_text="Filter fields, joined by commas, whose values are counted over all that `total` counts.",
    )
    sort = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=100,
        help_text="A number or date field, `-` in front for descending, instead of relevance. With `q`, only "
        "items with every word of it are listed, the best of them as far as `total` counts.",
    )
    limit = serializers.IntegerField(
        required=False, default=20, min_value=1, max_value=MAX_LIMIT, help_text="Items per page."
    )
    personalize = FiniteFloatField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0.0,
        max_value=1.0,
        help_text="How much of the visitor's taste to take in: 0 none, 1 (the default) as configured.",
    )


class SuggestParameters(serializers.Serializer[Any]):
    q = QueryTextField(
        required=False,
        default="",
        allow_blank=True,
        max_length=MAX_QUERY_LENGTH,
        help_text="What has been typed so far; empty: popular searches alone.",
    )
    document = document_field()
    limit = serializers.IntegerField(
        required=False,
        default=8,
        min_value=1,
        max_value=autocomplete.MOST,
        help_text="Searches, and items, at most.",
    )


class LimitParameters(PageParameters):
    limit = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=MAX_LIMIT,
        help_text="Items in the list.",
    )


class PlacementParameters(LimitParameters):
    document = document_field(
        "Kind of item; needed where the site has several and the placement does not say."
    )
    item_id = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=255,
        help_text="The item that the page is about.",
    )
    basket = NamesField(
        required=False,
        allow_null=True,
        default=None,
        allow_blank=True,
        max_length=MAX_BASKET_LENGTH,
        help_text="Ids of the items in the basket, joined by commas; without it the cart events count.",
    )


@component("LlmrecProblemError")
class ProblemErrorSerializer(serializers.Serializer[Any]):
    parameter = serializers.CharField(allow_blank=True, help_text="Empty: the request as a whole.")
    detail = serializers.CharField()
    index = serializers.IntegerField(required=False, help_text="Place in the list that was sent, from 0.")


@component("LlmrecProblem")
class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What is wrong, and what to do about it.")
    code = serializers.CharField(help_text="Stable; meant for programs.")
    parameter = serializers.CharField(required=False, allow_blank=True, help_text="The first of `errors`.")
    errors = ProblemErrorSerializer(many=True, required=False)  # type: ignore[assignment]


@component("LlmrecPastItem")
class PastItemSerializer(serializers.Serializer[Any]):
    item_id = serializers.CharField(
        allow_blank=True, help_text="Of what the visitor turned to; empty: what is laid to no single item."
    )
    title = serializers.CharField(allow_blank=True)
    value = serializers.FloatField(help_text="How much it moved the item, up or down.")


@component("LlmrecItem")
class ItemSerializer(serializers.Serializer[Any]):
    document = serializers.CharField()
    item_id = serializers.CharField(help_text="The primary key as text.")
    title = serializers.CharField()
    score = serializers.FloatField(help_text="Higher is better; comparable within one list only.")
    reasons = serializers.ListField(
        child=serializers.CharField(), help_text="Sentences for the visitor, strongest first."
    )
    highlights = serializers.DictField(
        child=serializers.CharField(), help_text="Escaped HTML by text field, matches in <mark>."
    )
    contributions = serializers.DictField(
        child=serializers.FloatField(), required=False, help_text="With `explain` only: they sum to `score`."
    )
    history = PastItemSerializer(
        many=True,
        required=False,
        help_text="With `explain` only: what of the visitor's past moved the item, most first; they are "
        "all that is personal in `score`. Later pages name only the three items that suit their taste best.",
    )
    probability = serializers.FloatField(
        required=False,
        allow_null=True,
        help_text=(
            "With `explain` only: that the user takes the item, and not one drawn at random; null where that "
            "is not known."
        ),
    )


@component("LlmrecFacet")
class FacetSerializer(serializers.Serializer[Any]):
    value = serializers.JSONField(help_text="Text, number or boolean, as the filter takes it.")
    count = serializers.IntegerField()


@component("LlmrecList")
class ListSerializer(serializers.Serializer[Any]):
    results = ItemSerializer(many=True)
    total = serializers.IntegerField(
        help_text="Distinct items found by words or by meaning; without `q`, all that pass the filters."
    )
    facets = serializers.DictField(
        child=FacetSerializer(many=True), help_text="Counts by field over the candidates that `total` counts."
    )
    degraded = serializers.ListField(
        child=serializers.CharField(),
        help_text='What the list had to do without: "vector", "profile", "rerank", "signals", "strategy", '
        '"reasons", "engine", or "impression" (the database takes no rows, so there is no `request_id` and '
        "no `next`).",
    )
    request_id = serializers.CharField(
        allow_null=True, help_text="To be sent along with interactions; null: the list could not be kept."
    )
    next = serializers.URLField(allow_null=True, help_text="The next page; null: this is the last.")
    did_you_mean = serializers.CharField(
        required=False, help_text="A better spelling, where no item holds some word of `q`."
    )
    relaxed = serializers.CharField(
        required=False,
        help_text="What was given up so that anything was found: `words` (that each occurs), `phrases` (the "
        "quotes), `spelling` (as typed: these items are for `did_you_mean`) or `vector` (words at all: these "
        "items are merely near in meaning).",
    )
    synonyms = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="What was looked for as well, by what was typed, as editors say.",
    )
    language = serializers.CharField(required=False, help_text="Of `q`, ISO 639-1, where it can be told.")


@component("LlmrecSuggestedItem")
class SuggestedItemSerializer(serializers.Serializer[Any]):
    document = serializers.CharField()
    item_id = serializers.CharField(help_text="The primary key as text.")
    title = serializers.CharField()
    url = serializers.CharField(allow_blank=True, help_text="Of the item's page; empty: it has none.")


@component("LlmrecSuggestions")
class SuggestionsSerializer(serializers.Serializer[Any]):
    queries = serializers.ListField(
        child=serializers.CharField(),
        help_text="Searches of many visitors that go on as `q` begins, most popular first.",
    )
    items = SuggestedItemSerializer(many=True)
    degraded = serializers.ListField(
        child=serializers.CharField(), help_text='"engine": it does not answer, so there are no items.'
    )


@component("LlmrecInteraction")
class InteractionSerializer(serializers.Serializer[Any]):
    """Something that the caller did with one item; whose it is, the session or the visitor's key says."""

    item_id = serializers.CharField(max_length=255, help_text="The primary key as text.")
    document = document_field("Needed where the site has several.")
    kind = KindField(trim_whitespace=False)
    value = FiniteFloatField(required=False, allow_null=True, default=None, help_text="Such as stars.")
    at = MomentField(required=False, allow_null=True, default=None, help_text="ISO 8601; now unless given.")
    event_id = serializers.CharField(
        required=False,
        allow_null=True,
        default=None,
        max_length=100,
        help_text="The sender's own id: what comes twice from one visitor is stored once.",
    )
    request_id = TextUUIDField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Of the list that the item was chosen from; somebody else's counts as none.",
    )
    position = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=2**31 - 1,
        help_text="Place in that list, from 0.",
    )


@component("LlmrecSeen")
class SeenSerializer(serializers.Serializer[Any]):
    """How far down one list the caller looked."""

    request_id = TextUUIDField(help_text="Of a list that the caller was given.")
    seen = serializers.IntegerField(
        min_value=1, max_value=10_000, help_text="Positions that came into view, from the top."
    )


@component("LlmrecNoted")
class NotedSerializer(serializers.Serializer[Any]):
    noted = serializers.IntegerField(help_text="Lists of the caller that were found.")


@component("LlmrecRecorded")
class RecordedSerializer(serializers.Serializer[Any]):
    stored = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    refused = serializers.IntegerField()
    errors = ProblemErrorSerializer(  # type: ignore[assignment]
        many=True, help_text="Why something was refused."
    )


@component("LlmrecMe")
class MeSerializer(serializers.Serializer[Any]):
    user_key = serializers.CharField(allow_null=True, help_text="The key of what is kept; null: nothing is.")
    consent = serializers.BooleanField(
        allow_null=True, help_text="The choice that was made; null: none yet, and the site's default holds."
    )
    personal = serializers.BooleanField(help_text="Whether interactions are stored and used now.")
    interactions = serializers.IntegerField()
    impressions = serializers.IntegerField(help_text="Lists that were shown.")


@component("LlmrecConsent")
class ConsentSerializer(serializers.Serializer[Any]):
    granted = serializers.BooleanField()


@component("LlmrecErased")
class ErasedSerializer(serializers.Serializer[Any]):
    interactions = serializers.IntegerField()
    impressions = serializers.IntegerField()
    consent = serializers.BooleanField(help_text="Whether a recorded choice was erased, too.")


@component("LlmrecExport")
class ExportSerializer(serializers.Serializer[Any]):
    user_key = serializers.CharField(allow_null=True)
    consent = serializers.DictField(allow_null=True)
    interactions = serializers.ListField(child=serializers.DictField())
    impressions = serializers.ListField(child=serializers.DictField())
    arm_assignments = serializers.ListField(
        child=serializers.DictField(), help_text="Experiments that the user stays in under an earlier key."
    )
    embeddings = serializers.ListField(child=serializers.DictField())


@component("LlmrecHealth")
class HealthSerializer(serializers.Serializer[Any]):
    status = serializers.CharField(
        help_text='"ok", or "degraded" where a part is ill and searches are answered without it; '
        "where they cannot be, the answer is a problem document."
    )
    checks = serializers.DictField(child=serializers.CharField(), help_text='"ok" or what is ill, by part.')
    details = serializers.DictField(
        child=serializers.CharField(), required=False, help_text="What is wrong, in words; only for staff."
    )
