"""Measures how far what people do has moved from what the live model learned from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from django.db.models import Max, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from llmrec_plugin.documents import registry
from llmrec_plugin.evaluation.lists import Values, accuracy
from llmrec_plugin.evaluation.pointwise import calibration
from llmrec_plugin.evaluation.protocol import BATCH, Case, Events, rank_cases, temporal_cases
from llmrec_plugin.evaluation.significance import PairedDifference, paired_bootstrap
from llmrec_plugin.event_kinds import rated_kinds
from llmrec_plugin.exceptions import ConfigurationError, EncoderUnavailable, InvalidVector
from llmrec_plugin.learning.mining.drift import LEAST, MOST, separability
from llmrec_plugin.learning.prediction.calibration import pairs
from llmrec_plugin.learning.scorers.catalogue_scores import Collaborative, Histories
from llmrec_plugin.learning.scorers.neighbours import Neighbours
from llmrec_plugin.learning.selection.model_config import Fitted, ScorerConfig, likeness, points, recent
from llmrec_plugin.models import Configuration, DriftReport, Impression, Interaction
from llmrec_plugin.ranking.profile import INDIFFERENT_RATING
from llmrec_plugin.services.deployment.live import LivePair, find_live_pair
from llmrec_plugin.services.inference.encoders import encoder_of
from llmrec_plugin.services.inference.item_vectors import vector_matrix
from llmrec_plugin.services.model_registry.adaptation import Adaptation
from llmrec_plugin.services.model_registry.artefacts import LearnedModel, adaptation_of, learned_by
from llmrec_plugin.services.privacy import consent
from llmrec_plugin.services.training.adaptation import others_embedded
from llmrec_plugin.types import Matrix

logger = logging.getLogger(__name__)

WARN, RERUN = 0.65, 0.75
"""Areas under the curve; between two periods of a steady shop .54 to .60 were measured, .5 is chance."""
LATEST = 1_000
"""Events since the training by which the live model and the frozen vectors are compared."""
MIN_CASES = 20
MAX_QUERIES = 500
MAX_ITEMS = 20_000
"""Items that are ranked, beside those that the model knows."""
METRIC = "NDCG@10"
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Separation:
    """Holds whether what came after the training can be told from what came before."""

    auc: float | None
    """.5: not at all, 1: always; None: too little to tell."""
    before: int
    now: int


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Holds how the live model and the frozen vectors rank what people took after the training."""

    live: float
    frozen: float
    difference: float
    low: float
    high: float
    cases: int
    promises: Sequence[tuple[float, float, int]] = ()
    """(probability promised, share that came true, how many): of what was taken, and as many drawn at
    random; empty where scores are no probabilities."""


def measure_all() -> list[DriftReport]:
    """A report on each document that something was learned for."""
    reports = (measure(label) for label in registry.labels())
    return [report for report in reports if report is not None]


def measure(label: str, *, now: datetime | None = None) -> DriftReport | None:
    """Compare what came in after the live model learned with what it learned from, and put it on record;
    None where nothing is live that was learned."""
    now = now or timezone.now()
    pair = find_live_pair(label)
    model = pair.model_version if pair else None
    if pair is None or model is None or model.events_until is None:
        return None
    events = _in_favour(label).filter(at__lte=now)
    fresh = list(_rows(events.filter(at__gt=model.events_until))[:MOST])
    known = list(_rows(events.filter(at__lte=model.events_until))[:MOST])
    catalogue = _Catalogue.of(pair)
    parts = {
        "events": asdict(catalogue.separation(known, fresh)),
        "queries": asdict(_queries(pair, model.events_until, now)),
        "unseen_share": catalogue.unseen_share(fresh),
        "ranking": _as_json(catalogue.ranking(fresh[:LATEST], events)),
    }
    level = _level(parts)
    report = DriftReport.objects.create(document=label, model_version=model, level=level, report=parts)
    logger.info("drift document=%s level=%s events=%d", label, level, len(fresh))
    return report


def latest() -> dict[str, DriftReport]:
    """Return the newest report of each document."""
    newest = DriftReport.objects.order_by().values("document").annotate(newest=Max("pk")).values("newest")
    return {report.document: report for report in DriftReport.objects.filter(pk__in=newest)}


def sentences(report: DriftReport) -> Iterator[str]:
    """Yield what asks for attention, in words."""
    for name, what in (("events", _("what people take")), ("queries", _("what people search for"))):
        auc = report.report.get(name, {}).get("auc")
        if auc is not None and auc >= WARN:
            yield _("%(what)s can be told from before the last training (%(auc).2f; chance is 0.50)") % {
                "what": what,
                "auc": auc,
            }
    ranking = report.report.get("ranking")
    if ranking and ranking["difference"] < 0:
        yield _("the learned model ranks the latest events worse than the texts alone (%(gain)+.4f)") % {
            "gain": ranking["difference"]
        }


def _level(parts: Mapping[str, Any]) -> DriftReport.Level:
    areas = [parts[name]["auc"] for name in ("events", "queries") if parts[name]["auc"] is not None]
    highest = max(areas, default=0.0)
    ranking = parts["ranking"]
    if highest >= RERUN or (ranking is not None and ranking["difference"] < 0):
        return DriftReport.Level.RERUN
    return DriftReport.Level.WARN if highest >= WARN else DriftReport.Level.STEADY


def _as_json(ranking: Ranking | None) -> dict[str, Any] | None:
    return None if ranking is None else asdict(ranking)


def _in_favour(label: str) -> QuerySet[Interaction]:
    """Return the events that training learns from."""
    kinds = [kind for kind, weight in Configuration.current().kind_weights.items() if weight > 0]
    liked = ~Q(kind__in=rated_kinds()) | Q(value=None) | Q(value__gt=INDIFFERENT_RATING)
    return consent.consented(Interaction.objects.filter(liked, document=label, kind__in=kinds))


Row = tuple[str, str, datetime]
"""User, item and time of an event."""


def _rows(events: QuerySet[Interaction]) -> QuerySet[Interaction, Row]:
    return events.order_by("-at", "-id").values_list("user_key", "item_id", "at")


def _separation(before: Matrix, now: Matrix) -> Separation:
    auc = separability(before, now, rng=np.random.default_rng(SEED))
    return Separation(auc=None if np.isnan(auc) else round(auc, 4), before=len(before), now=len(now))


def _queries(pair: LivePair, until: datetime, now: datetime) -> Separation:
    """Compare the vectors of the latest queries; not told where the encoder cannot be used."""
    lists = Impression.objects.filter(document=pair.index_version.document, placement="search", at__lte=now)
    asked = consent.consented(lists.exclude(query="")).order_by("-at")
    texts = [
        list(part.values_list("query", flat=True)[:MAX_QUERIES])
        for part in (asked.filter(at__lte=until), asked.filter(at__gt=until))
    ]
    if min(map(len, texts)) < LEAST:
        return Separation(auc=None, before=len(texts[0]), now=len(texts[1]))
    distinct = list(dict.fromkeys([*texts[0], *texts[1]]))
    try:
        vectors = encoder_of(pair.index_version).encode_query(distinct)
    except (EncoderUnavailable, ConfigurationError, InvalidVector) as error:
        logger.warning("drift of queries unknown error=%s", type(error).__name__)
        return Separation(auc=None, before=len(texts[0]), now=len(texts[1]))
    row = {text: place for place, text in enumerate(distinct)}
    before, after = (vectors[[row[text] for text in part]] for part in texts)
    return _separation(before, after)


@dataclass(frozen=True, eq=False)
class _Catalogue:
    """Holds what the live model knows, in its order, and after that the other items that have a vector."""

    pair: LivePair
    learned: LearnedModel
    place: Mapping[str, int]
    vectors: Matrix
    """Zero where an item has none."""

    @classmethod
    def of(cls, pair: LivePair) -> _Catalogue:
        learned = learned_by(pair.model_version)
        version = pair.index_version
        known = (*learned.keys, *learned.others)
        keys = (*known, *others_embedded(version, known, most=MAX_ITEMS))
        place = {key: row for row, key in enumerate(keys)}
        vectors = vector_matrix(version, keys)
        return cls(pair, learned, place, vectors)

    def separation(self, known: list[Row], fresh: list[Row]) -> Separation:
        """Compare the vectors of the items that the events are about."""
        before, now = (
            self.vectors[[self.place[key] for _, key, _ in rows if key in self.place]]
            for rows in (known, fresh)
        )
        return _separation(before, now)

    def unseen_share(self, fresh: list[Row]) -> float | None:
        """Return the share of events since about items that nothing was learned of; None without events."""
        unseen = sum(key not in self.learned.positions for _, key, _ in fresh)
        return round(unseen / len(fresh), 4) if fresh else None

    def ranking(self, fresh: list[Row], events: QuerySet[Interaction]) -> Ranking | None:
        """Measure on events that nothing was learned from; None where there are too few of them."""
        cases = self._cases(fresh, events) if len(fresh) >= LEAST else []
        if len(cases) < MIN_CASES:
            return None
        configuration = Configuration.current()
        adaptation = adaptation_of(self.pair, configuration)
        config = adaptation.config if adaptation else ScorerConfig(shares=configuration.shares())
        live = Fitted(
            config,
            likeness(adaptation.head if adaptation else None, self.vectors, gamma=config.gamma),
            Collaborative(self._neighbours(), config.neighbour_gamma),
            self._prior(),
        )
        frozen = likeness(None, self.vectors, gamma=config.gamma)
        values = [accuracy(rank_cases(_of_histories(score), cases).ranks)[METRIC] for score in (live, frozen)]
        ranking = _ranking(*values, users=[case.user for case in cases])
        return replace(ranking, promises=_promises(adaptation, live, cases))

    def _cases(self, fresh: list[Row], events: QuerySet[Interaction]) -> list[Case]:
        users = {user: number for number, user in enumerate(dict.fromkeys(user for user, _, _ in fresh))}
        past = [row for row in _rows(events.filter(user_key__in=list(users))) if row[1] in self.place]
        log = Events.of(
            [users[user] for user, _, _ in past],
            [self.place[key] for _, key, _ in past],
            [at.timestamp() for _, _, at in past],
        )
        since = int(np.searchsorted(log.times, fresh[-1][2].timestamp(), side="left"))
        return temporal_cases(log, slice(since, len(log)), rng=np.random.default_rng(SEED), most=LATEST)

    def _neighbours(self) -> Neighbours:
        known = self.learned.neighbours
        more = ((0, len(self.place) - len(known.indices)), (0, 0))
        return Neighbours(
            indices=np.pad(known.indices, more, constant_values=-1), weights=np.pad(known.weights, more)
        )

    def _prior(self) -> NDArray[np.float32]:
        """As training has it: what nobody took yet counts as the mean."""
        prior = self.learned.prior
        unseen = np.full(len(self.place) - len(prior), prior.mean() if len(prior) else 0.0, np.float32)
        return np.concatenate([prior, unseen])


def _of_histories(score: Callable[[Histories], Matrix]) -> Callable[[Sequence[Case]], Matrix]:
    return lambda batch: score(recent(batch))


def _promises(
    adaptation: Adaptation | None, live: Fitted, cases: Sequence[Case]
) -> list[tuple[float, float, int]]:
    weights = live.config.weights
    if adaptation is None or adaptation.pointwise is None or weights is None:
        return []
    rng = np.random.default_rng(SEED)
    batches = (cases[start : start + BATCH] for start in range(0, len(cases), BATCH))
    drawn = [pairs(points(weights, live, recent(batch)), batch, rng) for batch in batches]
    taken = np.concatenate([one for one, _ in drawn])
    others = np.concatenate([one for _, one in drawn])
    labels = np.repeat([1.0, 0.0], [len(taken), len(others)])
    bins = calibration(labels, adaptation.pointwise(np.concatenate([taken, others])))
    return [(one["mean"], one["share"], one["count"]) for one in bins]


def _ranking(live: Values, frozen: Values, *, users: list[int]) -> Ranking:
    gain: PairedDifference = paired_bootstrap(live, frozen, rng=np.random.default_rng(SEED), groups=users)
    return Ranking(
        live=float(np.nanmean(live)),
        frozen=float(np.nanmean(frozen)),
        difference=gain.difference,
        low=gain.low,
        high=gain.high,
        cases=gain.cases,
    )
