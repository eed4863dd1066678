"""What somebody else did to an index: it is named, the others go on, and a worker mends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from llmrec_plugin.backends import get_backend
from llmrec_plugin.exceptions import IndexDamaged, NotFound
from llmrec_plugin.models import Deployment, IndexVersion, OutboxEntry
from llmrec_plugin.services import indexing
from llmrec_plugin.services.deployment import promotion
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.indexing import index_mending
from llmrec_plugin.services.indexing.index_audit import audit
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.services.monitoring import status
from llmrec_plugin.services.search import search
from llmrec_plugin.types import ResultPage, SearchRequest
from tests.hostapp.models import Product
from tests.support.serving import open_shop

pytestmark = pytest.mark.django_db

Harm = Callable[[IndexVersion], None]


@pytest.fixture
def live() -> IndexVersion:
    open_shop()
    return live_pair("product").index_version


@pytest.fixture
def former(live: IndexVersion) -> IndexVersion:
    """The one before the live one, which is kept."""
    build("product", rebuild=True)
    IndexVersion.objects.update(floor=None)
    live.refresh_from_db()
    return live


def path(version: IndexVersion) -> Path:
    found: Path = get_backend()._pool.path(version.name)  # type: ignore[attr-defined]
    return found


def damage(version: IndexVersion) -> None:
    """Overwrite the file, as a disk or a careless copy does."""
    get_backend()._pool.close()  # type: ignore[attr-defined]
    for suffix in ("-wal", "-shm"):
        Path(f"{path(version)}{suffix}").unlink(missing_ok=True)
    path(version).write_bytes(b"nothing that SQLite knows " * 2000)


def lose(version: IndexVersion) -> None:
    get_backend().drop_index(version.name)


def find() -> ResultPage:
    return search(SearchRequest(document="product", text="steel lamp", limit=3))


def checks() -> dict[str, str]:
    answer = APIClient().get("/api/health/ready/")
    found: dict[str, str] = answer.json()["checks"]
    return found


class TestFormer:
    def test_audit_names_it_and_goes_on_with_the_others(self, former: IndexVersion) -> None:
        damage(former)
        lamp = Product.objects.get(title="steel desk lamp")
        Product.objects.filter(pk=lamp.pk).update(title="iron desk lamp")
        report = audit("product")
        assert report.damaged == (former.name,)
        assert report.stale == (str(lamp.pk),)

    def test_a_repair_mends_the_others_and_drops_it(self, former: IndexVersion) -> None:
        damage(former)
        lamp = Product.objects.get(title="steel desk lamp")
        Product.objects.filter(pk=lamp.pk).update(title="iron desk lamp")
        report = audit("product", repair=True)
        assert (report.damaged, report.repaired) == ((former.name,), 1)
        former.refresh_from_db()
        assert former.state == IndexVersion.State.DROPPED
        assert not path(former).exists()
        assert audit("product").damaged == ()
        assert not OutboxEntry.objects.exists()

    def test_rollback_passes_it_over(self, former: IndexVersion) -> None:
        damage(former)
        before = live_pair("product").index_version
        with pytest.raises(NotFound, match="no earlier version"):
            promotion.rollback("product", by="test")
        assert live_pair("product").index_version == before

    def test_rollback_goes_to_the_one_before(self, former: IndexVersion) -> None:
        between = live_pair("product").index_version
        build("product", rebuild=True)
        damage(between)
        promotion.rollback("product", by="test")
        assert live_pair("product").index_version == former

    def test_a_command_drops_it(self, former: IndexVersion) -> None:
        damage(former)
        call_command("llmrec", "drop", former.name)
        former.refresh_from_db()
        assert former.state == IndexVersion.State.DROPPED

    def test_the_command_leaves_the_live_one_alone(self, live: IndexVersion) -> None:
        with pytest.raises(SystemExit):
            call_command("llmrec", "drop", live.name)
        assert find().results
        assert not find().degraded

    def test_no_change_waits_for_it_once_a_worker_has_been_there(self, former: IndexVersion) -> None:
        damage(former)
        Product.objects.create(title="iron lamp")
        indexing.drain()
        assert OutboxEntry.objects.filter(index_version=former).exists()
        assert index_mending.mend_all() == {"product": [former.name]}
        assert not OutboxEntry.objects.exists()


@pytest.mark.parametrize(("harm", "code"), [(lose, "gone"), (damage, "damaged")])
class TestLive:
    def test_it_is_told_at_once(self, live: IndexVersion, harm: Harm, code: str) -> None:
        build("course")
        assert checks()["index product"] == "ok"
        harm(live)
        assert find().degraded == ("engine",)
        assert checks()["index product"] == code
        (document,) = (one for one in status.collect().documents if one.label == "product")
        if code == "gone":
            assert any("cannot answer" in ill for ill in document.ills)

    def test_a_worker_builds_it_anew(self, live: IndexVersion, harm: Harm, code: str) -> None:
        before = [item.title for item in find().results]
        harm(live)
        assert index_mending.mend_all() == {"product": [live.name]}
        IndexVersion.objects.update(floor=None)
        page = find()
        assert [item.title for item in page.results] == before
        assert page.degraded == ()
        assert Deployment.objects.order_by("-id")[0].by == "mending"
        assert index_mending.mend_all() == {}

    def test_build_does_it_as_well(self, live: IndexVersion, harm: Harm, code: str) -> None:
        harm(live)
        build("product")
        IndexVersion.objects.update(floor=None)
        assert find().degraded == ()
        assert audit("product").damaged == ()


def test_a_damaged_index_says_so(live: IndexVersion) -> None:
    damage(live)
    with pytest.raises(IndexDamaged, match="damaged"):
        get_backend().verify(live.name)
