"""Searches and recommends in a line, for a site's own views: model instances in the order of their rank.

    for product in search(Product, "red mug", request=request)[:20]: ...

Services answer with pages of results; here they feel like querysets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Generic, TypeVar, overload

from asgiref.sync import sync_to_async
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from llmrec_plugin import visitors
from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.exceptions import DocumentError
from llmrec_plugin.services import recommendations
from llmrec_plugin.services import search as searching
from llmrec_plugin.services.serving import result_pages, stored_lists
from llmrec_plugin.types import Filter, ResultItem, ResultPage, Scalar, SearchRequest

__all__ = [
    "Results",
    "aalso_bought",
    "also_bought",
    "arecommend",
    "asearch",
    "asimilar",
    "document_of",
    "recommend",
    "search",
    "similar",
]

M = TypeVar("M", bound=Model)

FIRST = 20
"""Items fetched along with the ranking unless more are asked for."""


class Results(Sequence[M], Generic[M]):
    """A sequence of instances that keeps rank order, ranked when they are first needed and then kept, as in a
    queryset.

    `len()`, slices, iteration and the paginators of Django and REST framework work; the list is ranked once,
    so that its pages never repeat an item. Each instance carries what is known of it as `instance.llmrec`, a
    ResultItem (score, reasons, highlights). An item that vanishes meanwhile is left out.
    """

    ordered = True
    """Paginators ask."""

    def __init__(
        self,
        ask: Callable[[int], ResultPage],
        *,
        document: SearchDocument[M],
        queryset: QuerySet[M] | None = None,
    ) -> None:
        self._ask = ask
        self._document = document
        self._queryset = queryset
        self._limit = FIRST
        self._found: dict[str, M] = {}

    def within(self, queryset: QuerySet[M]) -> Results[M]:
        """Return only what the queryset holds, and as it fetches it: for permissions of the request,
        prefetches, annotations and `only()`. One more query, for the keys."""
        return Results(self._ask, document=self._document, queryset=queryset)

    def prefetch_related(self, *lookups: Any) -> Results[M]:
        return self.within(self._rows().prefetch_related(*lookups))

    def select_related(self, *fields: str) -> Results[M]:
        return self.within(self._rows().select_related(*fields))

    @cached_property
    def page(self) -> ResultPage:
        """Return the first page as the service gave it: facets, total, degraded, did_you_mean."""
        page = self._ask(self._limit)
        if not page.request_id and self._limit < result_pages.MAX_ITEMS:  # not kept: there is no other page
            page = self._ask(result_pages.MAX_ITEMS)
        if self._queryset is None:
            for item in page.results:
                self._keep(item.item_id, item)
        return page

    @property
    def model(self) -> type[M]:
        """Return the model of the instances; generic views ask."""
        return self._document.model

    @property
    def facets(self) -> Mapping[str, Sequence[tuple[Scalar, int]]]:
        return self.page.facets

    @property
    def request_id(self) -> str:
        """Return the id to be sent along with clicks; empty where the list could not be kept."""
        return self.page.request_id

    def count(self, value: Any = None) -> int:
        """Return how many there are; with a value, as any sequence, how often it occurs."""
        return len(self) if value is None else super().count(value)

    def __len__(self) -> int:
        return len(self._keys)

    async def __aiter__(self) -> AsyncIterator[M]:
        """Yield all of them, fetched as by `for`."""
        for start in range(0, await sync_to_async(len)(self), result_pages.MAX_ITEMS):
            for found in await sync_to_async(self._slice)(start, start + result_pages.MAX_ITEMS):
                yield found

    def _slice(self, start: int, stop: int) -> list[M]:
        return self[start:stop]

    def __iter__(self) -> Iterator[M]:
        for start in range(0, len(self), result_pages.MAX_ITEMS):
            yield from self[start : start + result_pages.MAX_ITEMS]

    @overload
    def __getitem__(self, place: int) -> M: ...

    @overload
    def __getitem__(self, place: slice) -> list[M]: ...

    def __getitem__(self, place: int | slice) -> M | list[M]:
        if isinstance(place, int):
            key = self._keys[place]
            self._fetch([key])
            if key not in self._found:
                raise IndexError(f"The item at {place} has vanished since the list was ranked.")
            return self._found[key]
        if place.stop is not None and "page" not in self.__dict__:
            self._limit = min(max(place.stop, 1), result_pages.MAX_ITEMS)
        keys = self._keys[place]
        self._fetch(keys)
        return [self._found[key] for key in keys if key in self._found]

    @cached_property
    def _keys(self) -> list[str]:
        """Return the keys of all that can be seen, best first."""
        keys = stored_lists.ranked_keys(self.page)
        if self._queryset is None:
            return keys
        rows = self._document.rows_of(keys, self._queryset)
        visible = {str(pk) for pk in rows.values_list("pk", flat=True)}
        return [key for key in keys if key in visible]

    def _fetch(self, keys: Sequence[str]) -> None:
        """Fetch all that is not here yet, in a fixed number of queries."""
        missing = {key for key in keys if key not in self._found}
        if not missing:
            return
        items = stored_lists.items_of(self.page, missing)
        if self._queryset is not None:
            rows = {str(obj.pk): obj for obj in self._document.rows_of(items, self._queryset)}
            items = {key: replace(item, object=rows[key]) for key, item in items.items() if key in rows}
        for key, item in items.items():
            self._keep(key, item)

    def _keep(self, key: str, item: ResultItem) -> None:
        item.object.llmrec = item
        self._found[key] = item.object

    def _rows(self) -> QuerySet[M]:
        return self._document.get_queryset() if self._queryset is None else self._queryset


def search(
    model: type[M] | str,
    text: str,
    *,
    request: HttpRequest | None = None,
    user_key: str | None = None,
    filters: Sequence[Filter] = (),
    facets: Sequence[str] = (),
    personalize: float | None = None,
) -> Results[M]:
    """Return what answers the text, for the visitor of the request.

    `model`: a registered model, or the label of its document where it has several. Of a model whose parent
    is registered, only its own rows are returned, as its manager finds them. Raises DocumentError for a
    model without a document; all other errors of `services.search.search` when the list is first used.
    """
    document = document_of(model)

    def ask(limit: int) -> ResultPage:
        return searching.search(
            SearchRequest(
                document=document.label,
                text=text,
                user_key=_key(request, user_key),
                filters=tuple(filters),
                facets=tuple(facets),
                limit=limit,
                personalize=personalize,
            )
        )

    found: Results[M] = Results(ask, document=document)
    if isinstance(model, str) or model is document.model:
        return found
    return found.within(model._default_manager.all())


def recommend(
    placement: str,
    model: type[M] | str | None = None,
    *,
    request: HttpRequest | None = None,
    user_key: str | None = None,
    item: Model | str | None = None,
    basket: Iterable[Model | object] | None = None,
    limit: int | None = None,
) -> ResultPage:
    """Return what the placement shows this visitor; errors as of `services.recommendations.recommend`.

    `basket`: what lies in it, as items or their primary keys, for the strategy "basket"; None: what the
    visitor's events say. Raises DocumentError for a model that has no document of its own: its parent's holds
    other rows, too.
    """
    return recommendations.recommend(
        placement,
        user_key=_key(request, user_key),
        document=None if model is None else _own_document_of(model).label,
        item_id=str(item.pk) if isinstance(item, Model) else item,
        basket=None if basket is None else [one.pk if isinstance(one, Model) else one for one in basket],
        limit=limit,
    )


def similar(
    item: Model, *, request: HttpRequest | None = None, user_key: str | None = None, limit: int | None = None
) -> ResultPage:
    """Return items of like content; as many as the placement "similar" says unless `limit` does."""
    document = document_of(type(item))
    return recommendations.similar(document.label, item.pk, user_key=_key(request, user_key), limit=limit)


def also_bought(
    item: Model, *, request: HttpRequest | None = None, user_key: str | None = None, limit: int | None = None
) -> ResultPage:
    """Return what people who took the item took as well; as many as the placement "also-bought" says, unless
    `limit` does."""
    document = document_of(type(item))
    return recommendations.also_bought(document.label, item.pk, user_key=_key(request, user_key), limit=limit)


async def asearch(model: type[M] | str, text: str, *, limit: int = FIRST, **given: Any) -> Results[M]:
    """Return what `search` does, for an async view: the first `limit` instances with their highlights, the
    page with its facets and `len()` are there; `async for` fetches the others."""
    return await sync_to_async(_fetched)(search(model, text, **given), limit)


async def arecommend(placement: str, model: type[M] | str | None = None, **given: Any) -> ResultPage:
    """Return what `recommend` does, for an async view."""
    return await sync_to_async(recommend)(placement, model, **given)


async def asimilar(item: Model, **given: Any) -> ResultPage:
    """Return what `similar` does, for an async view."""
    return await sync_to_async(similar)(item, **given)


async def aalso_bought(item: Model, **given: Any) -> ResultPage:
    """Return what `also_bought` does, for an async view."""
    return await sync_to_async(also_bought)(item, **given)


def _fetched(found: Results[M], limit: int) -> Results[M]:
    for instance in found[:limit]:
        known: ResultItem = instance.llmrec  # type: ignore[attr-defined]
        len(known.highlights)  # made now, since they may take queries
    len(found)
    return found


def document_of(model: type[M] | str) -> SearchDocument[M]:
    """Return the document of the model; raises DocumentError where it has none, or several; NotFound for an
    unknown label."""
    if isinstance(model, str):
        return registry.get(model)
    documents = registry.for_model(model)
    if len(documents) == 1:
        return documents[0]
    if not documents:
        raise DocumentError(
            f"{model.__name__} has no SearchDocument: declare one in the search_documents.py of its app."
        )
    labels = ", ".join(document.label for document in documents)
    raise DocumentError(f"{model.__name__} has several documents ({labels}): name one of them instead.")


def _own_document_of(model: type[M] | str) -> SearchDocument[M]:
    document = document_of(model)
    if isinstance(model, str) or model is document.model:
        return document
    raise DocumentError(
        f'{model.__name__} has no SearchDocument of its own: register one, or name "{document.label}", which '
        f"lists every {document.model.__name__}."
    )


def _key(request: HttpRequest | None, user_key: str | None) -> str | None:
    return visitors.page_user_key(request) if user_key is None and request is not None else user_key
