"""Search and recommendations: each view reads its parameters, asks one service and shapes the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from llmrec_plugin import visitors
from llmrec_plugin.api.base import ApiView
from llmrec_plugin.api.descriptions import documented
from llmrec_plugin.api.parameters import given, names_of, refuse_unknown, single_document
from llmrec_plugin.api.serializers import (
    LimitParameters,
    ListSerializer,
    PageParameters,
    PlacementParameters,
    SearchParameters,
    SuggestionsSerializer,
    SuggestParameters,
)
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import NotFound
from llmrec_plugin.services import recommendations, search
from llmrec_plugin.services.curation.list_types import list_types
from llmrec_plugin.services.curation.placements import get_placement
from llmrec_plugin.services.items import filter_parsing
from llmrec_plugin.services.recommendations import pipeline
from llmrec_plugin.services.search import autocomplete
from llmrec_plugin.services.serving import result_pages
from llmrec_plugin.types import Filter, FilterKind, ResultItem, ResultPage, SearchRequest


class ListView(ApiView):
    """What the views that answer with a ranked list have in common."""

    def user_key(self) -> str | None:
        return visitors.list_user_key(self.request)

    def read(self, serializer_class: type[PageParameters], values: Mapping[str, list[str]]) -> dict[str, Any]:
        """The validated parameters among `values`; of a repeated one the last counts."""
        names = names_of(serializer_class)
        data = {name: texts[-1] for name, texts in values.items() if name in names}
        for name in ("facets", "basket"):
            if name in data:
                data[name] = ",".join(values[name])
        serializer = serializer_class(data=data)
        serializer.is_valid(raise_exception=True)
        parameters: dict[str, Any] = serializer.validated_data
        if parameters["explain"] and not getattr(self.request.user, "is_staff", False):
            raise PermissionDenied("Only staff may ask what a score is made of.")
        return parameters

    def read_all(self, serializer_class: type[PageParameters]) -> dict[str, Any]:
        """As `read`, from the request; whatever is no parameter is refused."""
        values = given(self.request.query_params)
        if "cursor" not in values:
            refuse_unknown(values, names_of(serializer_class))
        return self.read(serializer_class, values)

    def answer(
        self, page: ResultPage, *, explain: bool, kinds: Mapping[str, FilterKind] | None = None
    ) -> Response:
        data = {
            "results": [_shown(item, explain=explain) for item in page.results],
            "total": page.total,
            "facets": {
                field: [
                    {"value": filter_parsing.facet_value(value, (kinds or {}).get(field)), "count": count}
                    for value, count in counts
                ]
                for field, counts in page.facets.items()
            },
            "degraded": list(page.degraded),
            "request_id": page.request_id or None,
            "next": self.next_url(page.next, explain=explain),
            **result_pages.notes(page),
        }
        return Response(data)

    def next_page(self, parameters: Mapping[str, Any]) -> ResultPage:
        return search.next_page(parameters["cursor"], user_key=self.user_key(), explain=parameters["explain"])

    def next_url(self, cursor: str | None, *, explain: bool) -> str | None:
        if cursor is None:
            return None
        parameters = {"cursor": cursor, **({"explain": 1} if explain else {})}
        return self.request.build_absolute_uri(f"{self.request.path}?{urlencode(parameters)}")


class SearchView(ListView):
    """Items that answer a query, or pass filters, in an order that stays the same over all pages."""

    @documented(
        "search",
        responses={200: ListSerializer},
        errors=(400, 403, 404, 429, 503),
        filters=True,
        parameters=[SearchParameters],
        tags=["search"],
        summary="Search, or list by filters",
    )
    def get(self, request: Request) -> Response:
        values = given(request.query_params)
        parameters = self.read(SearchParameters, values)
        if parameters["cursor"]:
            page = self.next_page(parameters)
            kinds = _kinds_of_page(page)
        else:
            label = single_document(parameters["document"])
            kinds = registry.get(label).filter_kinds()
            page = search.search(self.search_request(label, kinds, parameters, values))
        return self.answer(page, explain=parameters["explain"], kinds=kinds)

    def search_request(
        self,
        label: str,
        kinds: Mapping[str, FilterKind],
        parameters: Mapping[str, Any],
        values: Mapping[str, list[str]],
    ) -> SearchRequest:
        own = names_of(SearchParameters)
        wanted = {name: texts for name, texts in values.items() if name not in own}
        refuse_unknown(wanted, [*own, *filter_parsing.parameter_names(kinds)])
        return SearchRequest(
            document=label,
            text=parameters["q"],
            user_key=self.user_key(),
            filters=filter_parsing.parse_filters(wanted, kinds),
            facets=tuple(parameters["facets"]),
            limit=parameters["limit"],
            personalize=parameters["personalize"],
            sort=parameters["sort"],
            explain=parameters["explain"],
        )


class SuggestView(ApiView):
    """What somebody may be about to type; nothing of it is stored."""

    @documented(
        "suggest",
        responses={200: SuggestionsSerializer},
        errors=(400, 404, 429, 503),
        parameters=[SuggestParameters],
        tags=["search"],
        summary="Searches and items that go on as the query begins",
    )
    def get(self, request: Request) -> Response:
        values = given(request.query_params)
        refuse_unknown(values, SuggestParameters().fields)
        serializer = SuggestParameters(data={name: texts[-1] for name, texts in values.items()})
        serializer.is_valid(raise_exception=True)
        parameters = serializer.validated_data
        found = autocomplete.suggest(
            parameters["q"], document=single_document(parameters["document"]), limit=parameters["limit"]
        )
        return Response(SuggestionsSerializer(found).data)


class RecommendationsView(ListView):
    """The list that a placement shows this visitor."""

    @documented(
        "recommendations",
        responses={200: ListSerializer},
        errors=(400, 403, 404, 429, 503),
        filters=True,
        parameters=[PlacementParameters],
        tags=["recommendations"],
        summary=f"A placement: {', '.join(list_types.names())} or the site's own",
    )
    def get(self, request: Request, placement: str) -> Response:
        values = given(request.query_params)
        parameters = self.read(PlacementParameters, values)
        if parameters["cursor"]:
            page = self.next_page(parameters)
        else:
            page = recommendations.recommend(
                placement,
                user_key=self.user_key(),
                document=parameters["document"] or None,
                item_id=parameters["item_id"] or None,
                limit=parameters["limit"],
                filters=_placement_filters(placement, parameters, values),
                basket=parameters["basket"],
                explain=parameters["explain"],
            )
        return self.answer(page, explain=parameters["explain"])


class ItemListView(ListView):
    """A list about one item."""

    find: Callable[..., ResultPage]

    def list_of(self, document: str, item: str) -> Response:
        parameters = self.read_all(LimitParameters)
        if parameters["cursor"]:
            page = self.next_page(parameters)
        else:
            if "\x00" in item:
                raise NotFound(f'"{document}" has no such item.')
            page = type(self).find(document, item, user_key=self.user_key(), limit=parameters["limit"])
        return self.answer(page, explain=parameters["explain"])


class SimilarView(ItemListView):
    """Items of like content."""

    find = staticmethod(recommendations.similar)

    @documented(
        "similar",
        responses={200: ListSerializer},
        errors=(400, 403, 404, 429, 503),
        parameters=[LimitParameters],
        tags=["recommendations"],
        summary="Items like this one, by content",
    )
    def get(self, request: Request, document: str, item_id: str) -> Response:
        return self.list_of(document, item_id)


class AlsoBoughtView(ItemListView):
    """What the people who took this item took as well."""

    find = staticmethod(recommendations.also_bought)

    @documented(
        "also_bought",
        responses={200: ListSerializer},
        errors=(400, 403, 404, 429, 503),
        parameters=[LimitParameters],
        tags=["recommendations"],
        summary="What people who chose this item chose, too",
    )
    def get(self, request: Request, document: str, item_id: str) -> Response:
        return self.list_of(document, item_id)


def _shown(item: ResultItem, *, explain: bool) -> dict[str, Any]:
    """As ItemSerializer describes it, which itself takes a fifth of a millisecond per page to do so."""
    shown: dict[str, Any] = {
        "document": item.document,
        "item_id": item.item_id,
        "title": item.title,
        "score": item.score,
        "reasons": item.reasons,
        "highlights": item.highlights,
    }
    if explain:
        shown |= {
            "contributions": item.contributions,
            "history": [past._asdict() for past in item.history],
            "probability": item.probability,
        }
    return shown


def _placement_filters(
    placement: str, parameters: Mapping[str, Any], values: Mapping[str, list[str]]
) -> tuple[Filter, ...]:
    """What is no parameter of the endpoint is a filter field of what the placement shows."""
    own = PlacementParameters().fields
    wanted = {name: texts for name, texts in values.items() if name not in own}
    if not wanted:
        return ()
    label = pipeline.label_of(get_placement(placement), parameters["document"] or None)
    kinds = registry.get(label).filter_kinds()
    refuse_unknown(wanted, [*own, *filter_parsing.parameter_names(kinds)])
    return filter_parsing.parse_filters(wanted, kinds)


def _kinds_of_page(page: ResultPage) -> Mapping[str, FilterKind]:
    """Of the document that the page lists; a page without items has no facets to show."""
    return registry.get(page.results[0].document).filter_kinds() if page.results else {}
