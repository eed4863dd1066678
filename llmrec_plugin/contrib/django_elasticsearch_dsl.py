"""For documents of django-elasticsearch-dsl whose index a SearchDocument is attached to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from django.db.models import Model

from llmrec_plugin.services.indexing.attached_index import attached_fields

__all__ = ["KeepsVectors"]

CHUNK = 200


class KeepsVectors:
    """Writes the stored vectors along with the site's fields, so that saves and rebuilds leave no gap.

        @registry.register_document
        class ProductDocument(KeepsVectors, Document): ...

    The mixin stands in front of `Document`. An index that was just made gains the fields first, also where
    it is `dynamic: strict`. Whatever goes wrong, the site's own fields are written all the same.
    """

    def _get_actions(self, object_list: Iterable[Model], action: str) -> Iterator[dict[str, Any]]:
        """The actions of a bulk request, as `update` sends them in every path: signals, tasks, rebuilds."""
        whole: Any = super()
        objects = iter(object_list)
        while chunk := list(islice(objects, CHUNK)):
            own: Any = self
            fields: dict[str, dict[str, Any]] = {}
            if action == "index":
                found = attached_fields(own.django.model, [obj.pk for obj in chunk], index=own._index._name)
                fields = {str(own.generate_id(obj)): found.get(str(obj.pk), {}) for obj in chunk}
            for entry in whole._get_actions(chunk, action):
                if entry["_source"] is not None:
                    entry["_source"] |= fields.get(str(entry["_id"]), {})
                yield entry
