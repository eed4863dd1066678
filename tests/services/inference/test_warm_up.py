"""A web process loads its encoders when it starts, not in its first visitor's request."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from llmrec_plugin.analysis import han
from llmrec_plugin.encoders import base
from llmrec_plugin.services import serving
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.search import search
from llmrec_plugin.services.serving import encoder_loading
from llmrec_plugin.types import SearchRequest
from tests.hostapp.models import Product

pytestmark = pytest.mark.django_db(transaction=True)


def loaded_within(seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if encoder_loading._memory.loaded:
            return True
        time.sleep(0.01)
    return False


@pytest.fixture(autouse=True)
def cold() -> None:
    encoder_loading._memory.clear()


def test_the_encoders_of_live_indexes_are_loaded_in_the_background() -> None:
    Product.objects.create(title="red kettle")
    build("product")
    base.forget_encoders()
    serving.warm_up()
    assert loaded_within(10)


def test_the_segmenter_of_chinese_is_loaded_with_them() -> None:
    Product.objects.create(title="陶瓷茶壶")
    build("product")
    han._load.cache_clear()
    serving.warm_up()
    assert loaded_within(10)
    assert han._load.cache_info().currsize == 1
    search(SearchRequest(document="product", text="陶瓷茶壶"))
    assert han._load.cache_info().misses == 1  # no visitor waits for it


def test_a_site_without_an_index_starts_all_the_same() -> None:
    serving.warm_up()
    assert not loaded_within(0.1)


def test_nothing_is_loaded_where_the_plugin_is_switched_off() -> None:
    Product.objects.create(title="red kettle")
    build("product")
    off: dict[str, Any] = {**django_settings.LLMREC, "ENABLED": False}
    with override_settings(LLMREC=off):
        serving.warm_up()
    assert not loaded_within(0.1)
