"""What fails waits with its error, and holds up nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db.models import F
from django.test import override_settings
from django.utils import timezone

from llmrec_plugin.backends import embedded, get_backend
from llmrec_plugin.documents import SearchDocument
from llmrec_plugin.models import Embedding, IndexVersion, OutboxEntry
from llmrec_plugin.services import indexing
from llmrec_plugin.services.coordination import locks
from llmrec_plugin.services.deployment import retirement
from llmrec_plugin.services.deployment.live import live_pair
from llmrec_plugin.services.indexing import outbox
from llmrec_plugin.services.indexing.index_audit import audit
from llmrec_plugin.services.indexing.index_build import build
from llmrec_plugin.types import IndexedItem, Removal, WriteReport
from tests.hostapp.models import Brand, Product
from tests.support import moody_encoder
from tests.support.indexed import declared, found, listed, waiting
from tests.support.moody_encoder import mood

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    moody_encoder.reset()
    yield
    moody_encoder.reset()


@contextmanager
def settings_with(**changes: Any) -> Iterator[None]:
    with override_settings(LLMREC={**django_settings.LLMREC, **changes}):
        yield


@pytest.fixture
def live() -> Iterator[IndexVersion]:
    """An empty shop with a live index, encoded by the moody encoder."""
    with settings_with(ENCODER="tests.support.moody_encoder", ENCODER_OPTIONS={"name": "moody"}):
        yield build("product").index_version


@pytest.fixture
def candidate(live: IndexVersion) -> Iterator[IndexVersion]:
    """A second index that is ready but not live, with an encoder of its own."""
    with settings_with(ENCODER="tests.support.moody_encoder", ENCODER_OPTIONS={"name": "other"}):
        yield build("product", promote=False).index_version


def add(title: str, **fields: Any) -> Product:
    return Product.objects.create(title=title, **fields)


def make_due() -> None:
    OutboxEntry.objects.update(not_before=None)


class Fragile(SearchDocument[Product]):
    model = Product
    label = "fragile"
    text_fields = ["title"]

    def prepare(self, obj: Product) -> Any:
        if "glass" in obj.title:
            raise RuntimeError(f"{obj.pk} is broken")
        if "key" in obj.title:
            return None if "lost" in obj.title else _with_key(super().prepare(obj), "other")
        return super().prepare(obj)


def _with_key(document: Any, key: str) -> Any:
    return replace(document, key=key)


class TestItems:
    def test_an_item_whose_preparation_fails_waits_and_the_others_go_on(self) -> None:
        with declared(Fragile):
            build("fragile")
            glass, cup = add("A glass"), add("A cup")
            OutboxEntry.objects.exclude(document="fragile").delete()
            report = indexing.drain()
            assert (report.written, report.failed, report.remaining) == (1, 1, 1)
            assert found("fragile", "cup") == {str(cup.pk)}
            entry = OutboxEntry.objects.get()
            assert (entry.item_id, entry.attempts) == (str(glass.pk), 1)
            assert entry.last_error == f"RuntimeError: {glass.pk} is broken"
            assert not entry.outage
            assert entry.not_before is not None
            assert entry.not_before > timezone.now()

    def test_a_key_that_prepare_made_up_is_refused(self) -> None:
        with declared(Fragile):
            build("fragile")
            add("A key")
            indexing.drain()
            entry = OutboxEntry.objects.get(document="fragile")
            assert 'gave the key "other"' in entry.last_error

    def test_the_wait_grows_with_every_attempt_up_to_an_hour(self) -> None:
        with declared(Fragile):
            build("fragile")
            add("A glass")
            waits = []
            for _ in range(12):
                before = timezone.now()
                make_due()
                indexing.drain()
                entry = OutboxEntry.objects.get(document="fragile")
                assert entry.not_before is not None
                waits.append(round((entry.not_before - before).total_seconds(), -1))
            assert waits[:3] == [10, 20, 40]
            assert waits[-1] == 3600
            assert entry.attempts == 12

    def test_what_waits_is_tried_again_at_once_when_the_item_changes(self) -> None:
        with declared(Fragile):
            build("fragile")
            glass = add("A glass")
            indexing.drain()
            glass.title = "A jar"
            glass.save()
            report = indexing.drain()
            assert waiting("fragile") == []
            assert report.failed == 0
            assert found("fragile", "jar") == {str(glass.pk)}

    def test_a_failing_item_is_one_entry_however_often_it_is_saved(self) -> None:
        with declared(Fragile):
            build("fragile")
            glass = add("A glass")
            for _ in range(3):
                glass.save()
                indexing.drain()
            assert waiting("fragile") == [str(glass.pk)]

    def test_retry_makes_failed_entries_new(self) -> None:
        with declared(Fragile):
            build("fragile")
            add("A glass")
            indexing.drain()
            assert outbox.retry(OutboxEntry.objects.filter(document="fragile")) == 1
            entry = OutboxEntry.objects.get(document="fragile")
            assert (entry.attempts, entry.not_before, entry.last_error) == (0, None, "")
            assert outbox.retry(OutboxEntry.objects.none()) == 0

    @pytest.mark.usefixtures("live")
    def test_a_text_that_the_encoder_refuses_is_found_among_many_and_not_repeated_in_its_error(self) -> None:
        mood.refuses = "poison"
        for number in range(20):
            add("poison of frogs" if number == 13 else f"Lamp {number}")
        report = indexing.drain()
        assert (report.written, report.failed) == (19, 1)
        entry = OutboxEntry.objects.get()
        assert entry.last_error == "ValueError: cannot read …"
        assert not entry.outage

    @pytest.mark.usefixtures("live")
    def test_a_vector_of_nan_blames_its_own_text_only(self) -> None:
        mood.nan_for = "nan"
        add("nan bread"), add("white bread")
        report = indexing.drain()
        assert (report.written, report.failed) == (1, 1)
        assert OutboxEntry.objects.get().last_error.startswith("InvalidVector: ")
        assert Embedding.objects.count() == 1


class TestOutages:
    @pytest.mark.parametrize("ill", ["down", "broken"])
    @pytest.mark.usefixtures("live")
    def test_an_encoder_that_fails_blames_no_item(self, ill: str) -> None:
        add("Lamp"), add("Torch")
        mood.down = {"moody"} if ill == "down" else set()
        mood.broken = ill == "broken"
        report = indexing.drain()
        assert (report.written, report.failed, report.remaining) == (0, 2, 2)
        assert set(OutboxEntry.objects.values_list("outage", flat=True)) == {True}
        assert OutboxEntry.objects.filter(last_error__startswith="EncoderUnavailable: ").count() == 2
        mood.down, mood.broken = set(), False
        make_due()
        assert indexing.drain().written == 2

    @pytest.mark.usefixtures("live")
    def test_an_encoder_that_refuses_everything_is_down(self) -> None:
        mood.refuses = " "  # every text, the probe included
        add("A lamp"), add("A torch")
        assert indexing.drain().failed == 2
        assert OutboxEntry.objects.filter(outage=True, last_error__contains="even a plain text").count() == 2

    @pytest.mark.usefixtures("live")
    def test_what_needs_no_encoder_goes_on_while_it_is_down(self) -> None:
        lamp, torch = add("Lamp"), add("Torch")
        indexing.drain()
        mood.down = {"moody"}
        lamp.price = 3
        lamp.save()
        torch.delete()
        report = indexing.drain()
        assert (report.written, report.removed, report.failed) == (1, 1, 0)

    def test_an_engine_that_is_down_loses_nothing(self, live: IndexVersion) -> None:
        lamp = add("Lamp")
        with settings_with(BACKEND="llmrec_plugin.contracts.silent_engine"):
            report = indexing.drain()
        assert (report.written, report.failed, report.remaining) == (0, 1, 1)
        entry = OutboxEntry.objects.get()
        assert entry.outage
        assert entry.last_error == "BackendUnavailable: The engine does not answer."
        make_due()
        assert indexing.drain().encoded == 0  # its vector was stored before
        assert found("product", "lamp") == {str(lamp.pk)}

    def test_another_model_under_the_same_name_never_mixes_vectors(self, live: IndexVersion) -> None:
        add("Lamp")
        IndexVersion.objects.update(encoder_id="what it was")
        report = indexing.drain()
        assert (report.written, report.failed) == (0, 1)
        assert OutboxEntry.objects.get().last_error.startswith("EncoderMismatch: ")
        assert not Embedding.objects.exists()


class SearchBackend(embedded.SearchBackend):
    """The embedded engine, which refuses what is fragile, and whose index may be dropped under its hands."""

    def write(self, name: str, puts: Sequence[IndexedItem], deletes: Sequence[Removal] = ()) -> WriteReport:
        version = IndexVersion.objects.get(name=name)
        if any("drop" in put.terms["title"] for put in puts):
            retirement.drop(version)
        fragile = {put.key: "It broke." for put in puts if "glass" in put.terms["title"]}
        report = super().write(name, [put for put in puts if put.key not in fragile], deletes)
        return replace(report, failed=fragile)


class TestEngines:
    @pytest.fixture(autouse=True)
    def picky(self, live: IndexVersion) -> Iterator[None]:
        with settings_with(BACKEND="tests.services.indexing.test_sync_failures"):
            yield

    def test_an_item_that_the_engine_refuses_waits_alone(self) -> None:
        glass, lamp = add("A glass"), add("A lamp")
        report = indexing.drain()
        assert (report.written, report.failed) == (1, 1)
        assert found("product", "lamp") == {str(lamp.pk)}
        entry = OutboxEntry.objects.get()
        assert (entry.item_id, entry.last_error, entry.outage) == (str(glass.pk), "It broke.", False)

    def test_an_index_that_is_dropped_during_the_write_leaves_no_error(self, live: IndexVersion) -> None:
        with settings_with(ENCODER="tests.support.moody_encoder", ENCODER_OPTIONS={"name": "other"}):
            build("product")  # so that the first one is not live any more
        add("A drop of water")
        report = indexing.drain()
        assert (report.failed, report.remaining) == (0, 0)
        live.refresh_from_db()
        assert live.state == IndexVersion.State.DROPPED


class TestSeveralIndexes:
    def test_a_change_reaches_every_index(self, live: IndexVersion, candidate: IndexVersion) -> None:
        lamp = add("Lamp")
        report = indexing.drain()
        assert (report.written, report.encoded) == (1, 2)
        for version in (live, candidate):
            assert found("product", "lamp", version=version) == {str(lamp.pk)}

    def test_a_failing_candidate_does_not_hold_up_the_live_index(
        self, live: IndexVersion, candidate: IndexVersion
    ) -> None:
        mood.down = {"other"}
        lamp = add("Lamp")
        report = indexing.drain()
        assert (report.written, report.failed) == (1, 1)
        assert found("product", "lamp", version=live) == {str(lamp.pk)}
        entry = OutboxEntry.objects.get()
        assert (entry.index_version, entry.outage, entry.attempts) == (candidate, True, 1)
        mood.down = set()
        make_due()
        indexing.drain()
        assert found("product", "lamp", version=candidate) == {str(lamp.pk)}

    def test_a_failing_live_index_does_not_hold_up_the_candidate(
        self, live: IndexVersion, candidate: IndexVersion
    ) -> None:
        get_backend().drop_index(live.name)
        lamp = add("Lamp")
        indexing.drain()
        assert found("product", "lamp", version=candidate) == {str(lamp.pk)}
        assert OutboxEntry.objects.get().index_version == live

    def test_when_all_fail_the_entry_stays_one_for_all(
        self, live: IndexVersion, candidate: IndexVersion
    ) -> None:
        mood.down = {"moody", "other"}
        add("Lamp")
        indexing.drain()
        assert OutboxEntry.objects.get().index_version is None

    def test_a_dropped_index_is_written_no_more(self, live: IndexVersion, candidate: IndexVersion) -> None:
        mood.down = {"other"}
        add("Lamp")
        indexing.drain()
        assert retirement.drop(candidate)
        assert not OutboxEntry.objects.exists()
        add("Torch")
        report = indexing.drain()
        assert (report.written, report.failed) == (1, 0)

    def test_an_entry_for_an_index_that_was_dropped_since_is_done(
        self, live: IndexVersion, candidate: IndexVersion
    ) -> None:
        retirement.drop(candidate)
        OutboxEntry.objects.create(document="product", item_id="1", index_version=candidate)
        assert indexing.drain().remaining == 0


class TestOthers:
    def test_a_newer_write_of_another_process_is_never_overwritten(self, live: IndexVersion) -> None:
        lamp = add("Lamp")
        OutboxEntry.objects.filter(item_id=str(lamp.pk)).update(attempts=0)
        # another process drew a later revision and removed the item meanwhile
        get_backend().write(live.name, [], [Removal(key=str(lamp.pk), revision=10_000)])
        report = indexing.drain()
        assert listed("product") == set()
        # tried twice at once, then it waits and says what may have happened
        assert (report.failed, report.remaining) == (2, 1)
        entry = OutboxEntry.objects.get()
        assert entry.attempts == 2
        assert "newer revision" in entry.last_error
        assert "--rebuild" in entry.last_error

    def test_a_document_that_this_process_does_not_know_is_left_to_others(self, live: IndexVersion) -> None:
        IndexVersion.objects.filter(pk=live.pk).update(document="unknown")
        OutboxEntry.objects.create(document="unknown", item_id="1")
        lamp = add("Lamp")
        indexing.drain()
        assert waiting("product") == []
        assert OutboxEntry.objects.get(document="unknown").last_error.startswith("NotFound: ")
        assert lamp.pk

    def test_a_lookup_that_the_site_dropped_does_not_stop_the_others(self, live: IndexVersion) -> None:
        OutboxEntry.objects.create(document="product", item_id="1", via="maker")
        lamp = add("Lamp")
        report = indexing.drain()
        assert (report.written, report.failed) == (1, 1)
        assert found("product", "lamp") == {str(lamp.pk)}
        assert OutboxEntry.objects.get().last_error.startswith("FieldError: ")

    def test_what_another_process_holds_is_left_alone_until_its_lease_ends(self, live: IndexVersion) -> None:
        add("Lamp")
        OutboxEntry.objects.update(
            lease_owner="elsewhere:1:1:ab", lease_until=timezone.now() + timedelta(seconds=60)
        )
        assert indexing.drain().entries == 0
        OutboxEntry.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        assert indexing.drain().written == 1

    def test_what_a_dead_process_of_this_machine_held_is_free_at_once(self, live: IndexVersion) -> None:
        add("Lamp")
        dead = locks.new_owner().split(":")
        dead[-2] = str(2**22 + 1)  # above any process id
        OutboxEntry.objects.update(
            lease_owner=":".join(dead), lease_until=timezone.now() + timedelta(seconds=60)
        )
        assert indexing.drain().written == 1

    def test_a_claim_that_went_to_another_is_neither_stored_nor_settled(self, live: IndexVersion) -> None:
        """As when this process was stopped for longer than its lease."""
        from llmrec_plugin.services.indexing import batch

        lamp = add("Lamp")
        claimed = outbox.claim(10)
        OutboxEntry.objects.update(lease_owner="elsewhere:1:1:ab")
        item = batch.Item(key=str(lamp.pk), entries=claimed)
        batch.process("product", [item], revision=1)
        assert item.lost
        assert not Embedding.objects.exists()
        assert listed("product") == set()

    @pytest.mark.django_db(transaction=True)
    def test_work_that_takes_longer_than_a_lease_keeps_what_it_claimed(self) -> None:
        taken: list[OutboxEntry] = []

        class Slow(SearchDocument[Product]):
            """As with an encoder that reads a batch for minutes."""

            model = Product
            label = "slow"
            text_fields = ["title"]

            def prepare(self, obj: Product) -> Any:
                time.sleep(1.3)
                taken.extend(outbox.claim(10))
                return super().prepare(obj)

        with declared(Slow), settings_with(LIMITS={"lease_seconds": 1}):
            build("slow")
            lamp = add("Lamp")
            OutboxEntry.objects.exclude(document="slow").delete()
            report = indexing.drain()
            assert (taken, report.written, report.remaining) == ([], 1, 0)
            assert found("slow", "lamp") == {str(lamp.pk)}

    def test_an_interrupt_gives_back_what_was_claimed(self, live: IndexVersion) -> None:
        class Interrupted(SearchDocument[Product]):
            model = Product
            label = "interrupted"
            text_fields = ["title"]

            def prepare(self, obj: Product) -> Any:
                raise KeyboardInterrupt

        with declared(Interrupted):
            add("Lamp")
            IndexVersion.objects.filter(pk=live.pk).update(document="interrupted")
            with pytest.raises(KeyboardInterrupt):
                indexing.drain()
            assert not OutboxEntry.objects.exclude(lease_owner="").exists()

    def test_two_claims_never_share_an_entry(self, live: IndexVersion) -> None:
        for number in range(6):
            add(f"Lamp {number}")
        first, second = outbox.claim(4), outbox.claim(4)
        assert (len(first), len(second)) == (4, 2)
        assert not {entry.pk for entry in first} & {entry.pk for entry in second}
        outbox.release(first[0].lease_owner)
        assert len(outbox.claim(10)) == 4

    def test_changes_come_before_what_a_build_needs(self, live: IndexVersion) -> None:
        for number in range(3):
            OutboxEntry.objects.create(document="product", item_id=str(987654 + number), index_version=live)
        lamp = add("Lamp")
        assert [entry.item_id for entry in outbox.claim(1)] == [str(lamp.pk)]

    def test_a_stream_of_changes_does_not_hold_up_a_build(self, live: IndexVersion) -> None:
        OutboxEntry.objects.create(document="product", item_id="987654", index_version=live)
        for number in range(8):
            add(f"Lamp {number}")
        claimed = outbox.claim(4, version=live)
        assert [entry.index_version_id for entry in claimed] == [None, None, live.pk]

    def test_after_all_failures_the_site_and_its_indexes_agree(
        self, live: IndexVersion, candidate: IndexVersion
    ) -> None:
        mood.down, mood.refuses = {"other"}, "poison"
        brand = Brand.objects.create(name="Acme")
        for title in ("Lamp", "poison", "Torch"):
            add(title, brand=brand)
        indexing.drain()
        moody_encoder.reset()
        Product.objects.filter(title="Torch").update(price=F("price") + 1)
        indexing.mark(brand)
        make_due()
        indexing.drain()
        report = audit("product")
        assert (report.missing, report.stale, report.orphaned, report.failing) == ((), (), (), ())
        assert live_pair("product").index_version == live
