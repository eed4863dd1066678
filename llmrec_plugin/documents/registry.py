"""What the site declared: documents by label, user documents and sources of interactions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from django.db.models import Model

from llmrec_plugin.documents.people import InteractionSource, UserDocument
from llmrec_plugin.documents.search import SearchDocument
from llmrec_plugin.exceptions import DocumentError, NotFound
from llmrec_plugin.suggest import hint

Declared = TypeVar("Declared", bound="type[SearchDocument[Any] | UserDocument[Any] | InteractionSource[Any]]")


class Registry:
    """One instance of each declared class, in the order of declaration."""

    def __init__(self) -> None:
        self._documents: list[SearchDocument[Any]] = []
        self._user_documents: list[UserDocument[Any]] = []
        self._interaction_sources: list[InteractionSource[Any]] = []

    def register(self, declared: Declared) -> Declared:
        """Add a class and hand it back; raises DocumentError if it has no model.

        All other mistakes are reported by `manage.py check`, so that one of them does not hide the rest.
        """
        model = getattr(declared, "model", None)
        if not isinstance(model, type) or not issubclass(model, Model) or model._meta.abstract:
            raise DocumentError(f"{declared.__name__}.model must name a model: model = Product")
        kind = self._list_for(declared)
        if not any(type(known) is declared for known in kind):
            kind.append(declared())
        return declared

    def unregister(self, declared: Declared) -> None:
        kind = self._list_for(declared)
        kind[:] = [known for known in kind if type(known) is not declared]

    def _list_for(self, declared: Declared) -> list[Any]:
        if issubclass(declared, SearchDocument):
            return self._documents
        if issubclass(declared, UserDocument):
            return self._user_documents
        if issubclass(declared, InteractionSource):
            return self._interaction_sources
        raise DocumentError(
            f"{declared.__name__} must inherit from SearchDocument, UserDocument or InteractionSource."
        )

    def get(self, label: str) -> SearchDocument[Any]:
        """The document of that label; raises NotFound, naming the labels there are."""
        for document in self._documents:
            if document.label == label:
                return document
        known = self.labels()
        if not known:
            raise NotFound(
                f'There is no document "{label}": no SearchDocument is registered. Declare one in the '
                "search_documents.py of an installed app."
            )
        raise NotFound(f'There is no document "{label}". {hint(label, known)}')

    def for_model(self, model: type[Model]) -> list[SearchDocument[Any]]:
        """The documents whose items the rows of `model` are; proxies and child models count."""
        return [document for document in self._documents if document.covers(model)]

    def labels(self) -> list[str]:
        return sorted({document.label for document in self._documents})

    def __iter__(self) -> Iterator[SearchDocument[Any]]:
        return iter(tuple(self._documents))

    @property
    def user_documents(self) -> tuple[UserDocument[Any], ...]:
        return tuple(self._user_documents)

    @property
    def interaction_sources(self) -> tuple[InteractionSource[Any], ...]:
        return tuple(self._interaction_sources)


registry = Registry()
register = registry.register
