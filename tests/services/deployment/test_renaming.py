"""A renamed model carries its past to its new label."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import call_command

from llmrec_plugin.documents import SearchDocument, registry
from llmrec_plugin.exceptions import InvalidRequest
from llmrec_plugin.models import Interaction, ModelVersion, PopularQuery
from llmrec_plugin.services import indexing, recommendations
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.deployment.renaming import forsaken_labels, rename_document
from llmrec_plugin.services.training import model_fit
from tests.hostapp.models import Product
from tests.hostapp.search_documents import ProductDocument
from tests.support.indexed import declared, undeclared
from tests.support.pages import titles
from tests.support.serving import did, open_shop

pytestmark = pytest.mark.django_db


class Ware(SearchDocument[Product]):
    model = Product
    label = "ware"
    text_fields = ProductDocument.text_fields
    filter_fields = ProductDocument.filter_fields


@pytest.fixture
def renamed() -> Iterator[None]:
    """A shop that has learned, whose documents have another label from now on."""
    shop = open_shop()
    for user in range(12):
        did(f"g{user}", "purchase", [shop["steel garden hose"], shop["steel lawn mower"]])
    model_fit.fit("product")
    PopularQuery.objects.create(document="product", text="hose", visitors=9)
    with undeclared(ProductDocument), declared(Ware):
        yield


def test_what_was_kept_goes_on_under_the_new_label(renamed: None) -> None:
    assert forsaken_labels() == ["product"]
    out = StringIO()
    call_command("llmrec", "rename-document", "product", "ware", stdout=out)
    assert "Interaction: 24 carried" in out.getvalue()
    assert forsaken_labels() == []
    assert not Interaction.objects.filter(document="product").exists()
    assert live_pair("ware").model_version == ModelVersion.objects.get()
    page = recommendations.recommend("for-you", document="ware", user_key="g0", limit=30)
    assert "steel garden hose" not in titles(page)[:20]  # bought already


def test_an_index_that_the_new_label_has_already_stays_live(renamed: None) -> None:
    built = indexing.build("ware").index_version
    PopularQuery.objects.create(document="ware", text="hose", visitors=5)
    assert rename_document("product", "ware")["Interaction"] == 24
    assert live_pair("ware").index_version == built
    assert live_pair("ware").model_version is not None
    assert PopularQuery.objects.get().visitors == 5


def test_a_label_in_use_and_an_unknown_one_are_refused(renamed: None) -> None:
    with pytest.raises(InvalidRequest, match="still a document"):
        rename_document("course", "ware")
    with pytest.raises(InvalidRequest, match="register it first"):
        rename_document("product", "goods")
    assert registry.labels() == ["course", "ware"]
