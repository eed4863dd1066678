"""Whatever is saved, moved and deleted, in whatever transaction: the index is what a rebuild would make."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

pytest.importorskip("taggit")
pytest.importorskip("modelcluster")
pytest.importorskip("parler")

from django.db import transaction
from django.test import override_settings
from django.utils import translation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec_plugin.backends import get_backend
from llmrec_plugin.documents import registry
from llmrec_plugin.models import OutboxEntry
from llmrec_plugin.services import indexing
from llmrec_plugin.services.coordination import missed_changes
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.indexing import outbox
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.items.preparation import prepared, projected
from tests.strangers import changes
from tests.strangers.changes import CHANGES, Step
from tests.strangers.documents import DOCUMENTS
from tests.support.indexed import declared

pytestmark = pytest.mark.django_db(transaction=True)
EXAMPLES = int(os.environ.get("LLMREC_TEST_EXAMPLES", "12"))
LABELS = [document.label for document in DOCUMENTS]


class Undone(Exception):
    """Of a block whose changes are rolled back."""


STEPS = st.builds(
    Step,
    name=st.sampled_from(sorted(CHANGES)),
    first=st.integers(0, 5),
    second=st.integers(0, 5),
    word=st.integers(0, 7),
)
BLOCKS = st.tuples(
    st.sampled_from(["autocommit", "atomic", "request", "undone", "undone within"]),
    st.lists(STEPS, min_size=1, max_size=5),
    st.sampled_from(["no worker", "a worker afterwards", "a worker at each commit"]),
)


@pytest.fixture
def site() -> Iterator[None]:
    with declared(*DOCUMENTS):
        changes.clear()
        for label in LABELS:
            build(label)
        yield


@contextmanager
def quick_worker() -> Iterator[None]:
    """It drains whenever something was marked, before whoever marks goes on: no worker is quicker."""

    def work(**kwargs: object) -> None:
        indexing.drain()

    outbox.marked.connect(work, dispatch_uid="tests.quick_worker")
    try:
        yield
    finally:
        outbox.marked.disconnect(dispatch_uid="tests.quick_worker")


def happen(mode: str, steps: Sequence[Step]) -> None:
    """All steps in a transaction of that kind; `request` is what ATOMIC_REQUESTS and an admin make of it."""
    if mode == "autocommit":
        for step in steps:
            changes.do(step)
        return
    try:
        with transaction.atomic():
            for number, step in enumerate(steps):
                _one(step, savepoint=mode != "atomic", undone=mode == "undone within" and number % 2 == 0)
            if mode == "undone":
                raise Undone
    except Undone:
        pass


def _one(step: Step, *, savepoint: bool, undone: bool) -> None:
    if not savepoint:
        changes.do(step)
        return
    try:
        with transaction.atomic():
            changes.do(step)
            if undone:
                raise Undone
    except Undone:
        pass


def differences() -> dict[str, Any]:
    """What a rebuild would change, by document and item, and what waits or was missed."""
    found: dict[str, Any] = {label: wrong for label in LABELS if (wrong := _differing(label))}
    if OutboxEntry.objects.exists():
        found["waiting"] = list(OutboxEntry.objects.values_list("document", "item_id", "via", "last_error"))
    missed = {label: noted for label in LABELS if (noted := missed_changes.noted(label))}
    return {**found, "missed": missed} if missed else found


def _differing(label: str) -> set[str]:
    version = live_pair(label).index_version
    document = registry.get(label)
    items = (prepared(document, row) for row in document.get_queryset())
    wanted = {item.key: projected(item, version=version).digest for item in items if item is not None}
    return {key for key, _ in wanted.items() ^ digests(label).items()}


def digests(label: str) -> dict[str, str]:
    return dict(get_backend().digests(live_pair(label).index_version.name))


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blocks=st.lists(BLOCKS, min_size=1, max_size=5))
def test_the_index_is_always_what_a_rebuild_would_make(site: None, blocks: Any) -> None:
    changes.clear()
    changes.start()
    indexing.drain()
    for mode, steps, worker in blocks:
        with quick_worker() if worker == "a worker at each commit" else nullcontext():
            happen(mode, steps)
        if worker == "a worker afterwards":
            indexing.drain()
    indexing.drain()
    assert differences() == {}


@pytest.mark.parametrize("mode", ["autocommit"])
def test_each_change_reaches_the_index(site: None, mode: str) -> None:
    changes.start()
    for number, name in enumerate(sorted(CHANGES)):
        happen(mode, [Step(name, number, number // 2, number)])
        indexing.drain()
        assert differences() == {}, name


def test_what_a_rebuild_makes_is_the_same_to_the_last_digest(site: None) -> None:
    changes.start()
    indexing.drain()
    for number, name in enumerate(sorted(CHANGES)):
        happen("request", [Step(name, number, number // 2, number)])
    with translation.override("zh-hans"), override_settings(LANGUAGE_CODE="en"):
        indexing.drain()  # by the thread of a visitor who reads Chinese
    former = {label: digests(label) for label in LABELS}
    for label in LABELS:
        build(label, rebuild=True)
    assert {label: digests(label) for label in LABELS} == former
