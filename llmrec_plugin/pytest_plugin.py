"""Fixtures for the tests of a host site: search and recommendations without a model, a server or a wait.

pytest finds it by itself where the package is installed. The fixture `llmrec` gives a test an engine in
memory, an encoder of hashed words, and words for what it wants to know:

    def test_the_mug_is_found(llmrec, mug):
        llmrec.build("product")
        assert llmrec.found("product", "red mug") == [mug]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from django.db.models import Model

    from llmrec_plugin.models import ModelVersion
    from llmrec_plugin.types import ResultPage

__all__ = ["Llmrec", "llmrec", "llmrec_settings"]

ENCODER_OPTIONS = {"dimensions": 256}


class Llmrec:
    """What a test says to the plugin and asks of it."""

    def build(self, *labels: str) -> None:
        """Index the rows there are now; of all documents unless some are named."""
        from llmrec_plugin.documents import registry
        from llmrec_plugin.services import indexing

        for label in labels or registry.labels():
            indexing.build(label)

    def drain(self) -> None:
        """Bring the indexes up to date with what was saved since; workers do this in a live site."""
        from llmrec_plugin.services import indexing

        indexing.drain()

    def found(self, label: str, text: str, *, user: object = None, **filters: Any) -> list[Any]:
        """The rows that answer, best first; `price=3` filters by value."""
        return [item.object for item in self.search(label, text, user=user, **filters).results]

    def search(self, label: str, text: str, *, user: object = None, **filters: Any) -> ResultPage:
        """The first page as a view gets it, with scores, reasons and total."""
        from llmrec_plugin.services.search import search
        from llmrec_plugin.types import SearchRequest, Terms

        passing = tuple(Terms(field=name, values=(value,)) for name, value in filters.items())
        return search(SearchRequest(document=label, text=text, user_key=_key(user), filters=passing))

    def recommended(self, placement: str, label: str | None = None, *, user: object = None) -> list[Any]:
        """The rows of a placement, in order."""
        from llmrec_plugin.services.recommendations import recommend

        page = recommend(placement, user_key=_key(user), document=label)
        return [item.object for item in page.results]

    def record(self, user: object, item: Model, kind: str = "view", *, document: str = "") -> None:
        """An event, as the site's visitors leave them; `document` where the model has several."""
        from llmrec_plugin.services import interactions
        from llmrec_plugin.shortcuts import document_of

        label = document or document_of(type(item)).label
        interactions.record(user_key=str(_key(user)), document=label, item_id=item.pk, kind=kind)

    def train(self, label: str) -> ModelVersion:
        """Learn from the events so far."""
        from llmrec_plugin.services.training import model_fit

        return model_fit.fit(label)


def _key(user: object) -> str | None:
    return None if user is None else str(getattr(user, "pk", user))


def quick_settings(folder: Path) -> dict[str, Any]:
    """Return the site's LLMREC with an engine in memory, an encoder of hashed words and files in `folder`.

    Its own PLACEMENTS and the like stay as they are.
    """
    from django.conf import settings

    return {
        **getattr(settings, "LLMREC", {}),
        "BACKEND": "llmrec_plugin.backends.memory",
        "BACKEND_OPTIONS": {},
        "ENCODER": "llmrec_plugin.encoders.hashing",
        "ENCODER_OPTIONS": ENCODER_OPTIONS,
        "RERANK": {},
        "DATA_DIR": str(folder / "llmrec"),
        "TASKS": "off",
    }


@contextmanager
def set_up(llmrec_settings: Mapping[str, Any]) -> Iterator[Llmrec]:
    """Use these settings meanwhile; documents do without the encoder and the index that they name."""
    from django.core.cache import cache
    from django.test import override_settings

    from llmrec_plugin.documents import registry

    with pytest.MonkeyPatch.context() as patch, override_settings(LLMREC=dict(llmrec_settings)):
        for document in registry:
            for name in ("encoder", "encoder_options", "attached"):
                patch.setattr(document, name, None)
        cache.clear()
        yield Llmrec()
    cache.clear()


@pytest.fixture
def llmrec_settings(tmp_path: Path) -> Mapping[str, Any]:
    """LLMREC while a test uses `llmrec`; to be overridden for other options. The site's own PLACEMENTS and
    the like stay as they are."""
    return quick_settings(tmp_path)


@pytest.fixture
def llmrec(db: None, llmrec_settings: Mapping[str, Any]) -> Iterator[Llmrec]:
    """The plugin for one test; needs pytest-django. Documents that name an encoder or an index of their own
    do without them meanwhile."""
    with set_up(llmrec_settings) as plugin:
        yield plugin
