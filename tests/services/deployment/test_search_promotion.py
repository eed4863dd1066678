"""A new encoder takes over without anybody waiting for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import override_settings

from llmrec_plugin.encoders import base
from llmrec_plugin.encoders.base import forget_encoders
from llmrec_plugin.models import Impression, IndexVersion
from llmrec_plugin.services.deployment import promotion, retirement
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.search import search
from llmrec_plugin.services.serving import encoder_loading
from llmrec_plugin.types import SearchRequest
from tests.support import slow_encoder
from tests.support.serving import open_shop
from tests.support.trials import running

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    forget_encoders()
    encoder_loading._memory.clear()
    slow_encoder.ready.set()
    slow_encoder.broken.clear()
    yield
    slow_encoder.ready.set()
    slow_encoder.broken.clear()
    _wait()
    forget_encoders()
    encoder_loading._memory.clear()


def _wait() -> None:
    until = time.monotonic() + 20
    while encoder_loading._memory.loading and time.monotonic() < until:
        time.sleep(0.01)
    assert not encoder_loading._memory.loading


def _answering(text: str) -> IndexVersion | None:
    page = search(SearchRequest(document="product", text=text))
    assert page.degraded == ()
    assert page.results
    return Impression.objects.get(pk=page.request_id).index_version


def _promote_slow_encoder() -> tuple[IndexVersion, IndexVersion]:
    """(former, new) index versions; the new one's model is not in memory."""
    open_shop(copies=1)
    former = live_pair("product").index_version
    assert _answering("first question") == former
    options = {**settings.LLMREC, "ENCODER": "tests.support.slow_encoder", "ENCODER_OPTIONS": {}}
    with override_settings(LLMREC=options):
        new = build("product").index_version
    IndexVersion.objects.update(floor=None)
    assert live_pair("product").index_version == new != former
    forget_encoders()
    slow_encoder.ready.clear()
    return former, new


def test_the_former_index_answers_until_the_new_model_is_loaded() -> None:
    former, new = _promote_slow_encoder()
    started = time.monotonic()
    assert _answering("second question") == former
    assert _answering("third question") == former
    assert time.monotonic() - started < 5, "nobody waits for the model"
    loading = [thread.name for thread in threading.enumerate() if thread.name == "llmrec-encoder"]
    assert len(loading) == 1, "however many ask, it is loaded once"
    slow_encoder.ready.set()
    _wait()
    assert _answering("fourth question") == new


def test_a_model_that_cannot_be_loaded_leaves_the_former_index_answering() -> None:
    former, _ = _promote_slow_encoder()
    slow_encoder.broken.set()
    slow_encoder.ready.set()
    assert _answering("second question") == former
    _wait()
    assert _answering("third question") == former


def test_a_model_that_could_not_be_loaded_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_RETRY_SECONDS", 0.0)
    former, new = _promote_slow_encoder()
    slow_encoder.broken.set()
    slow_encoder.ready.set()
    assert _answering("second question") == former
    _wait()
    slow_encoder.broken.clear()
    assert _answering("third question") == former
    _wait()
    assert _answering("fourth question") == new


def test_an_index_that_is_dropped_answers_no_more() -> None:
    former, new = _promote_slow_encoder()
    assert retirement.drop(former)
    slow_encoder.ready.set()
    assert _answering("second question") == new


def test_going_back_is_at_once() -> None:
    former, new = _promote_slow_encoder()
    slow_encoder.ready.set()
    _answering("second question")
    _wait()
    assert _answering("third question") == new
    promotion.rollback("product", by="test")
    assert _answering("fourth question") == former


def test_the_first_request_of_a_process_is_answered_by_what_is_live() -> None:
    _, new = _promote_slow_encoder()
    encoder_loading._memory.clear()
    slow_encoder.ready.set()
    assert _answering("second question") == new


def test_no_visitor_waits_for_the_encoder_of_an_arm() -> None:
    former, tried = _promote_slow_encoder()
    promotion.rollback("product", by="test")
    running(overrides={}, index_version=tried, share=1000)

    def answered(text: str) -> Impression:
        page = search(SearchRequest(document="product", text=text, user_key="u1"))
        return Impression.objects.get(pk=page.request_id)

    meanwhile = answered("second question")
    assert meanwhile.index_version == former
    assert "still being loaded" in meanwhile.arm_error
    slow_encoder.ready.set()
    _wait()
    assert (answered("third question").index_version, answered("fourth question").arm_error) == (tried, "")
