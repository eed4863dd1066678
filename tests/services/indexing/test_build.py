"""Building an index beside the live one, going on after an interruption, promotion, rollback and sweep."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings
from django.utils import timezone

from llmrec_plugin.backends import get_backend
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.exceptions import (
    BackendUnavailable,
    ConfigurationError,
    EncoderUnavailable,
    LeaseLost,
    NotBuilt,
    NotFound,
)
from llmrec_plugin.models import (
    Deployment,
    Embedding,
    IndexBatch,
    IndexVersion,
    Lease,
    ModelArtefact,
    ModelVersion,
    OutboxEntry,
)
from llmrec_plugin.services import indexing
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.deployment import promotion, retirement
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.indexing import index_build as build_module
from llmrec_plugin.services.indexing import outbox, similarity_floor
from llmrec_plugin.services.indexing.index_build import build, estimate
from llmrec_plugin.services.inference.encoders import encoder_of
from llmrec_plugin.services.reporting import model_charts
from tests.hostapp.models import Product
from tests.support import moody_encoder
from tests.support.indexed import declared, found, listed
from tests.support.interruptions import before_statement, ctrl_c
from tests.support.moody_encoder import mood

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    moody_encoder.reset()
    with using_encoder("moody"):
        yield
    moody_encoder.reset()


@contextmanager
def using_encoder(name: str, **changes: Any) -> Iterator[None]:
    settings = {
        **django_settings.LLMREC,
        "ENCODER": "tests.support.moody_encoder",
        "ENCODER_OPTIONS": {"name": name},
        **changes,
    }
    with override_settings(LLMREC=settings):
        yield


def stock(count: int) -> list[Product]:
    return Product.objects.bulk_create(Product(title=f"Lamp number {n}") for n in range(count))


class TestBuild:
    def test_the_first_build_finds_everything_and_goes_live(self) -> None:
        stock(5)
        calls: list[tuple[int, int]] = []
        report = build("product", by="ada", progress=lambda done, total: calls.append((done, total)))
        assert (report.created, report.written, report.encoded, report.failed) == (True, 5, 5, 0)
        assert len(found("product", "lamp")) == 5
        assert live_pair("product").index_version == report.index_version
        assert Deployment.objects.get().by == "ada"
        assert calls[-1] == (5, 5)
        version = IndexVersion.objects.get()
        assert (version.state, version.total, version.marking_done) == ("ready", 5, True)
        assert version.ready_at is not None

    def test_an_empty_site_has_an_empty_index(self) -> None:
        assert build("product").written == 0
        assert listed("product") == set()

    def test_without_a_build_nothing_is_live_and_the_message_says_how(self) -> None:
        with pytest.raises(NotBuilt, match=r"manage\.py llmrec build --document product"):
            live_pair("product")
        with pytest.raises(NotFound, match="Known: course, product"):
            live_pair("products")

    def test_a_second_build_has_nothing_to_do(self) -> None:
        stock(3)
        first = build("product")
        mood.read.clear()
        second = build("product")
        assert (second.created, second.written, second.index_version) == (False, 0, first.index_version)
        assert mood.read == []
        assert Deployment.objects.count() == 1

    def test_a_second_build_brings_in_what_was_never_marked_and_removes_what_is_gone(self) -> None:
        gone, *_ = stock(3)
        build("product")
        Product.objects.filter(pk=gone.pk)._raw_delete("default")  # no signal tells of it
        (new,) = Product.objects.bulk_create([Product(title="Torch")])
        report = build("product")
        assert (report.created, report.written) == (False, 1)
        assert found("product", "torch") == {str(new.pk)}
        assert str(gone.pk) not in listed("product")

    def test_a_build_drains_the_backlog_and_tries_again_what_failed(self) -> None:
        build("product")
        mood.down = {"moody"}
        Product.objects.create(title="Torch")
        indexing.drain()
        mood.down = set()
        assert build("product").written == 1
        assert not OutboxEntry.objects.exists()

    def test_an_engine_that_lost_its_index_is_filled_without_the_encoder(self) -> None:
        stock(4)
        name = build("product").index_version.name
        get_backend().drop_index(name)
        mood.read.clear()
        report = build("product")
        assert (report.created, report.written, report.encoded) == (False, 4, 0)
        assert mood.read == []
        assert len(found("product", "lamp")) == 4

    def test_rebuild_makes_a_new_version_from_stored_vectors(self) -> None:
        stock(4)
        first = build("product")
        mood.read.clear()
        second = build("product", rebuild=True)
        assert second.created
        assert second.index_version != first.index_version
        assert (second.written, mood.read) == (4, [])
        assert live_pair("product").index_version == second.index_version

    def test_another_encoder_is_another_version_and_never_a_mix(self) -> None:
        stock(4)
        first = build("product").index_version
        with using_encoder("other"):
            report = build("product")
        assert (report.created, report.encoded) == (True, 4)
        assert set(Embedding.objects.values_list("encoder_id", flat=True)) == {"moody", "other"}
        assert encoder_of(first).id == "moody"
        assert encoder_of(report.index_version).id == "other"

    def test_options_that_do_not_change_the_vectors_need_no_new_version(self) -> None:
        build("product")
        with using_encoder("moody", ENCODER_OPTIONS={"name": "moody", "threads": 2}):
            report = build("product")
        assert not report.created
        assert IndexVersion.objects.get().encoder_options == {"name": "moody", "threads": 2}

    def test_other_fields_are_another_version_and_the_former_one_stays_fresh(self) -> None:
        class First(SearchDocument[Product]):
            model = Product
            label = "gadget"
            text_fields = ["title"]
            filter_fields = ["price"]

        class Second(First):
            text_fields = ["title", "description"]
            filter_fields = ["in_stock"]

        with declared(First):
            build("gadget")
            old = live_pair("gadget").index_version
        with declared(Second):
            report = build("gadget")
            assert report.created
            lamp = Product.objects.create(title="Lamp", description="for desks")
            indexing.drain()
            assert found("gadget", "desks") == {str(lamp.pk)}
            assert listed("gadget", version=old) == {str(lamp.pk)}
            assert indexing.audit("gadget").stale == ()

    def test_an_older_version_of_the_same_kind_is_used_again(self) -> None:
        first = build("product").index_version
        with using_encoder("other"):
            build("product")
        report = build("product")
        assert (report.created, report.index_version) == (False, first)
        assert live_pair("product").index_version == first

    def test_a_version_can_be_made_without_going_live(self) -> None:
        first = build("product").index_version
        second = build("product", rebuild=True, promote=False).index_version
        assert live_pair("product").index_version == first
        assert second.state == IndexVersion.State.READY

    def test_failing_items_do_not_keep_the_others_from_going_live(self) -> None:
        mood.refuses = "number 2"
        stock(4)
        report = build("product")
        assert (report.written, report.failed) == (3, 1)
        assert len(found("product", "lamp")) == 3
        mood.refuses = ""
        assert build("product").written == 1

    def test_two_builds_of_one_document_exclude_each_other(self) -> None:
        with locks.hold("build:product"), pytest.raises(LeaseLost, match='"build:product" is being done by'):
            build("product")
        build("product")

    def test_a_site_that_is_never_still_does_not_keep_it_from_ending(self) -> None:
        build("product")
        Product.objects.create(title="first")
        saved: list[Product] = []

        def save_another(done: int, total: int) -> None:
            assert len(saved) < 50, "the build follows changes for ever"
            saved.append(Product.objects.create(title="another"))

        assert build("product", progress=save_another).written > 0
        assert len(found("product", "first")) == 1
        assert saved


class TestInterruption:
    def test_an_encoder_that_goes_down_leaves_the_build_to_be_continued(self) -> None:
        stock(6)
        mood.down = {"moody"}
        with pytest.raises(EncoderUnavailable, match=r"bad day.* goes on where it stopped"):
            build("product")
        version = IndexVersion.objects.get()
        assert version.state == IndexVersion.State.BUILDING
        mood.down = set()
        report = build("product")
        assert (report.index_version, report.written) == (version, 6)

    def test_an_engine_that_goes_down_does_not_make_an_empty_index_live(self) -> None:
        stock(6)
        with (
            using_encoder("moody", BACKEND="llmrec_plugin.contracts.silent_engine"),
            pytest.raises(BackendUnavailable),
        ):
            build("product")
        assert build("product").written == 6

    def test_it_goes_on_in_the_middle_of_marking_and_of_filling(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stock(250)
        monkeypatch.setattr(outbox, "CHUNK", 100)
        with using_encoder("moody", LIMITS={"drain_batch": 40}):
            stopped = before_statement('UPDATE "llmrec_plugin_indexversion"', ctrl_c, number=2)
            with stopped, pytest.raises(KeyboardInterrupt):
                build("product")  # while the second chunk of 100 is marked
            version = IndexVersion.objects.get()
            assert (version.total, version.marking_done) == (100, False)
            stopped = before_statement('UPDATE "llmrec_plugin_outboxentry"', ctrl_c, number=4)
            with stopped, pytest.raises(KeyboardInterrupt):
                build("product")  # after some batches were written
            written = get_backend().count(version.name)
            assert 0 < written < 250
            mood.read.clear()
            report = build("product")
        assert report.index_version == version
        assert report.written == 250 - written
        assert len(mood.read) == 250 - written
        assert IndexVersion.objects.get().total == 250

    def test_it_waits_for_what_another_process_has_claimed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stock(4)
        naps: list[float] = []

        def nap(seconds: float) -> None:
            """The other process dies meanwhile, and its lease ends."""
            naps.append(seconds)
            OutboxEntry.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

        monkeypatch.setattr("llmrec_plugin.services.indexing.index_build.time.sleep", nap)
        claims: list[int] = []

        def claim_first() -> None:
            claims.append(
                OutboxEntry.objects.update(
                    lease_owner="elsewhere:1:1:ab", lease_until=timezone.now() + timedelta(minutes=5)
                )
            )

        mood.down = {"moody"}
        with pytest.raises(EncoderUnavailable):
            build("product")
        mood.down = set()
        with before_statement('FROM "llmrec_plugin_outboxentry" WHERE', claim_first, number=3):
            assert build("product").written == 4
        assert claims == [4]
        assert naps == [build_module.POLL_SECONDS]

    def test_a_build_that_no_longer_fits_the_settings_is_given_up(self) -> None:
        stock(2)
        mood.down = {"moody"}
        with pytest.raises(EncoderUnavailable):
            build("product")
        started = IndexVersion.objects.get()
        with using_encoder("other"):
            report = build("product")
        started.refresh_from_db()
        assert (started.state, report.written) == (IndexVersion.State.DROPPED, 2)
        assert not OutboxEntry.objects.exists()

    def test_live_results_stay_while_the_next_index_is_built(self) -> None:
        stock(3)
        first = build("product").index_version
        mood.down = {"other"}
        with using_encoder("other"), pytest.raises(EncoderUnavailable):
            build("product")
        assert live_pair("product").index_version == first
        assert len(found("product", "lamp")) == 3
        torch = Product.objects.create(title="Torch")
        indexing.drain()
        assert found("product", "torch") == {str(torch.pk)}

    def test_a_promotion_that_was_interrupted_is_made_up_for(self) -> None:
        ready = build("product", promote=False).index_version
        report = build("product")
        assert (report.created, report.index_version) == (False, ready)
        assert live_pair("product").index_version == ready


class TestFloor:
    def test_the_floor_is_measured_and_the_same_every_time(self) -> None:
        stock(60)
        first = build("product").index_version
        second = build("product", rebuild=True).index_version
        assert first.floor is not None
        assert 0 < first.floor < 1
        assert first.floor == pytest.approx(second.floor)
        assert first.floor_samples == second.floor_samples
        assert len(first.floor_samples["matches"]) == 60
        assert len(first.floor_samples["nonsense"]) == similarity_floor.NONSENSE_QUERIES

    def test_a_handful_of_items_has_no_floor(self) -> None:
        stock(3)
        version = build("product").index_version
        assert version.floor is None
        assert {name: len(values) for name, values in version.floor_samples.items()} == {
            "matches": 3,
            "nonsense": 0,
        }
        shown = model_charts.floor(version)
        assert shown is not None
        assert [len(series.marks) for series in shown.chart.series] == [3]

    def test_nonsense_is_half_han_where_the_site_reads_it(self) -> None:
        import numpy as np

        both = similarity_floor.nonsense(np.random.default_rng(1), 10, languages=("en", "zh"))
        latin = similarity_floor.nonsense(np.random.default_rng(1), 10, languages=("en",))
        assert sum(query.isascii() for query in both) == 5
        assert all(query.isascii() for query in latin)
        assert len(set(both)) == 10


class TestEstimate:
    def test_it_counts_what_is_not_stored_yet(self) -> None:
        stock(50)
        fresh = estimate("product")
        assert (fresh.items, fresh.to_encode) == (50, 50)
        assert fresh.seconds > 0
        assert fresh.bytes > 50 * 64 * 4
        build("product")
        known = estimate("product")
        assert (known.to_encode, known.seconds) == (0, 0)

    def test_an_empty_site_costs_nothing(self) -> None:
        empty = estimate("product")
        assert (empty.items, empty.to_encode, empty.seconds, empty.bytes) == (0, 0, 0.0, 0)


class TestPromotion:
    def learned(self, label: str = "product") -> ModelVersion:
        artefact, _ = ModelArtefact.objects.get_or_create(sha256="0" * 64, defaults={"content": b""})
        return ModelVersion.objects.create(document=label, artefact=artefact)

    def test_a_new_index_keeps_what_was_learned(self) -> None:
        first = build("product").index_version
        model = self.learned()
        promotion.promote(first, model_version=model, by="ada", reason="trained")
        second = build("product", rebuild=True).index_version
        pair = live_pair("product")
        assert (pair.index_version, pair.model_version) == (second, model)

    def test_rollback_appends_the_former_pair_and_a_second_one_takes_it_back(self) -> None:
        first = build("product").index_version
        second = build("product", rebuild=True).index_version
        assert promotion.rollback("product", by="ada").index_version == first
        assert live_pair("product").index_version == first
        assert promotion.rollback("product", by="ada").index_version == second
        assert [row.reason for row in Deployment.objects.order_by("id")][-2:] == ["rollback", "rollback"]

    def test_rollback_takes_back_a_model_on_the_same_index(self) -> None:
        version = build("product").index_version
        promotion.promote(version, model_version=self.learned(), by="ada")
        deployment = promotion.rollback("product", by="ada")
        assert (deployment.index_version, deployment.model_version) == (version, None)

    def test_without_a_former_pair_there_is_nothing_to_roll_back_to(self) -> None:
        build("product")
        with pytest.raises(NotFound, match="nothing to roll back to"):
            promotion.rollback("product", by="ada")

    def test_only_a_ready_index_can_be_promoted(self) -> None:
        version = build("product", promote=False).index_version
        retirement.drop(version)
        with pytest.raises(ConfigurationError, match="is dropped; only a ready index"):
            promotion.promote(version, by="ada")

    def test_a_model_of_another_document_is_refused(self) -> None:
        version = build("product").index_version
        with pytest.raises(ConfigurationError, match='learned for "course"'):
            promotion.promote(version, model_version=self.learned("course"), by="ada")


class TestSweep:
    def test_a_replaced_index_is_kept_up_to_date_until_the_grace_time_ends(self) -> None:
        first = build("product").index_version
        build("product", rebuild=True)
        lamp = Product.objects.create(title="Lamp")
        indexing.drain()
        assert found("product", "lamp", version=first) == {str(lamp.pk)}
        assert retirement.sweep(now=timezone.now() + timedelta(hours=23)) == []
        assert retirement.sweep(now=timezone.now() + timedelta(hours=25)) == [first]
        first.refresh_from_db()
        assert first.state == IndexVersion.State.DROPPED
        assert first.dropped_at is not None
        assert first.name not in get_backend().index_names()

    def test_the_live_index_and_one_that_waits_to_go_live_are_never_swept(self) -> None:
        build("product")
        build("product", rebuild=True, promote=False)
        assert retirement.sweep(now=timezone.now() + timedelta(days=400)) == []
        assert not retirement.drop(live_pair("product").index_version)
        assert live_pair("product").index_version.state == IndexVersion.State.READY

    def test_a_candidate_that_was_overtaken_is_swept(self) -> None:
        build("product")
        candidate = build("product", rebuild=True, promote=False).index_version
        build("product", rebuild=True)
        assert candidate in retirement.sweep(now=timezone.now() + timedelta(days=2))

    def test_after_a_rollback_the_newer_one_is_the_replaced_one(self) -> None:
        build("product")
        second = build("product", rebuild=True).index_version
        promotion.rollback("product", by="ada")
        assert retirement.sweep(now=timezone.now() + timedelta(days=2)) == [second]

    def test_vectors_of_an_encoder_that_no_index_uses_go_with_it(self) -> None:
        stock(3)
        build("product")
        with using_encoder("other"):
            build("product")
        assert Embedding.objects.count() == 6
        retirement.sweep(now=timezone.now() + timedelta(days=2))
        assert set(Embedding.objects.values_list("encoder_id", flat=True)) == {"other"}

    def test_an_index_that_outlived_its_version_is_found_again(self) -> None:
        first = build("product").index_version
        build("product", rebuild=True)
        with using_encoder("moody", BACKEND="llmrec_plugin.contracts.silent_engine"):
            assert retirement.sweep(now=timezone.now() + timedelta(days=2)) == [first]
        assert first.name in get_backend().index_names()
        retirement.sweep()
        assert first.name not in get_backend().index_names()

    def test_records_of_drains_are_kept_for_a_month(self) -> None:
        stock(1)
        build("product")
        assert IndexBatch.objects.exists()
        retirement.sweep(now=timezone.now() + timedelta(days=31))
        assert not IndexBatch.objects.exists()

    def test_it_is_due_once_an_hour(self) -> None:
        now = timezone.now()
        build("product")
        build("product", rebuild=True)
        later = now + timedelta(days=2)
        assert len(retirement.sweep_if_due(now=later)) == 1
        build("product", rebuild=True)
        assert retirement.sweep_if_due(now=later + timedelta(minutes=59)) == []


class TestLeases:
    def test_every_owner_gets_a_higher_fence(self) -> None:
        fences = []
        for _ in range(3):
            with locks.hold("work") as lease:
                fences.append(lease.fence)
        assert fences == [1, 2, 3]

    def test_a_lock_whose_owner_gave_no_sign_is_taken_over_and_he_hears_of_it(self) -> None:
        with locks.hold("work") as slow:
            Lease.objects.filter(name="work").update(until=timezone.now() - timedelta(seconds=1))
            with locks.hold("work") as quick:
                assert quick.fence == slow.fence + 1
                slow._beat_at -= timedelta(hours=1)
                with pytest.raises(LeaseLost, match="went to another process"):
                    slow.beat()
                quick.beat()

    def test_a_sign_of_life_prolongs_the_lock(self) -> None:
        with locks.hold("work") as lease:
            first = Lease.objects.get(name="work").until
            lease.beat()  # too early to be written
            assert Lease.objects.get(name="work").until == first
            lease._beat_at -= timedelta(hours=1)
            lease.beat()
            until = Lease.objects.get(name="work").until
            assert first is not None
            assert until is not None
            assert until > first

    def test_a_lock_of_a_process_that_died_here_is_free_at_once(self) -> None:
        dead = locks.new_owner().split(":")
        dead[-2] = str(2**22 + 1)
        Lease.objects.create(
            name="work", owner=":".join(dead), until=timezone.now() + timedelta(hours=1), fence=4
        )
        with locks.hold("work") as lease:
            assert lease.fence == 5

    def test_nothing_is_known_of_processes_elsewhere(self) -> None:
        assert not locks.is_dead("elsewhere:4026531836:1:ab")
        assert not locks.is_dead("")
        assert not locks.is_dead(locks.new_owner())
