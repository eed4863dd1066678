"""Search for Django's generic list views."""

from __future__ import annotations

import logging
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from llmrec_plugin.exceptions import LlmrecError
from llmrec_plugin.logs import public_message
from llmrec_plugin.shortcuts import Results, search
from llmrec_plugin.types import Filter

__all__ = ["SearchMixin"]

logger = logging.getLogger(__name__)


class SearchMixin:
    """A ListView that answers `?q=…` in order of relevance, and lists as before without it.

        class ProductList(SearchMixin, ListView):
            model = Product
            paginate_by = 24

    Only what the view's own queryset holds is found, as it fetches it: permissions, prefetches and
    annotations stay. The template has `search_text`, `search_facets`, `search_request_id` and, where the
    search cannot answer, `search_error`, beside an empty list.
    """

    request: HttpRequest
    search_parameter = "q"
    search_document: str = ""
    """Label; needed where the model has several documents."""
    search_facets: tuple[str, ...] = ()
    """Filter fields whose values are counted."""

    search_error: str = ""
    """What the visitor is told where the search cannot answer."""

    def get_queryset(self) -> QuerySet[Any] | Results[Any]:
        parent: Any = super()
        queryset: QuerySet[Any] = parent.get_queryset()
        text = self.search_text
        if not text:
            return queryset
        found: Results[Any] = search(
            self.search_document or queryset.model,
            text,
            request=self.request,
            filters=self.get_search_filters(),
            facets=self.search_facets,
        ).within(queryset)
        try:
            found.page  # noqa: B018  (asks now, where the error can be told)
        except LlmrecError as error:
            logger.warning("search failed view=%s error=%s", type(self).__name__, error.code)
            self.search_error = public_message(error)
            return queryset.none()
        return found

    def get_search_filters(self) -> tuple[Filter, ...]:
        """To be overridden: what the index is filtered by; faster than a narrow queryset."""
        return ()

    @property
    def search_text(self) -> str:
        return self.request.GET.get(self.search_parameter, "").replace("\x00", " ").strip()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        parent: Any = super()
        found = getattr(self, "object_list", None)
        kwargs.update(search_text=self.search_text, search_error=self.search_error)
        if isinstance(found, Results):
            kwargs.update(search_facets=found.facets, search_request_id=found.request_id)
        context: dict[str, Any] = parent.get_context_data(**kwargs)
        return context
