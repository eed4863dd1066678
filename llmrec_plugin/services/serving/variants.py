"""How the arm of a running experiment answers a request; whatever it cannot do, the control does."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from llmrec_plugin.exceptions import EncoderUnavailable, InvalidRequest, LlmrecError, NotFound
from llmrec_plugin.experiments.interleaving import team_draft
from llmrec_plugin.models import Arm, Configuration, IndexVersion, ModelVersion
from llmrec_plugin.services.deployment.live import LivePair
from llmrec_plugin.services.experiments import assignment
from llmrec_plugin.services.serving import encoder_loading
from llmrec_plugin.services.serving.ranked_list import RankedList

logger = logging.getLogger(__name__)

ERROR_LENGTH = 200


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Says what one request is answered with: the control's where nothing differs."""

    configuration: Configuration
    placement: str = ""
    """Stands in for the one that is asked for; empty: that one."""
    index_version: int | None = None
    model_version: int | None = None

    def pair_of(self, live: LivePair) -> LivePair:
        """Return the live pair, or what the arm pins instead of it; up to two queries where it does.

        Raises NotFound for a version that is gone, and EncoderUnavailable while its encoder is still being
        loaded by this process, which no visitor is to wait for.
        """
        if self.index_version is not None and self.index_version != live.index_version.pk:
            live = replace(live, index_version=_ready(self.index_version, live))
        if self.model_version is not None:
            model = ModelVersion.objects.filter(pk=self.model_version).first()
            if model is None or model.artefact_id is None:
                raise NotFound(f"What model version {self.model_version} had learned is not kept any more.")
            live = replace(live, model_version=model)
        return live


def _ready(pk: int, live: LivePair) -> IndexVersion:
    version = IndexVersion.objects.filter(pk=pk, state=IndexVersion.State.READY).first()
    if version is None:
        raise NotFound(f"Index version {pk} is not ready any more.")
    if version.encoder_id != live.index_version.encoder_id and not encoder_loading.is_loaded(version):
        raise EncoderUnavailable(f'The encoder of "{version.name}" is still being loaded.')
    return version


class ListMaker(ABC):
    """Makes one list, once it is known which variant answers; searches and recommendations each have their
    own."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Return the document that the list is of."""

    @property
    @abstractmethod
    def placement(self) -> str:
        """Return the name that the list is asked for by, whatever placement the variant puts in its place."""

    @property
    @abstractmethod
    def user_key(self) -> str | None:
        """Return the one who asks; None: nobody in particular."""

    @abstractmethod
    def make(self, variant: Variant) -> RankedList:
        """Return the whole list that the variant answers with."""


def answer(maker: ListMaker, configuration: Configuration) -> RankedList:
    """Return the list that this user is to see; `configuration` is the control's.

    Without an experiment on this list it costs nothing. Only those whose lists may be kept
    take part, since nobody else's clicks could be counted.
    """
    control = Variant(configuration=configuration)
    experiment = assignment.experiment_for(maker.label, maker.placement, configuration)
    if experiment is None or not assignment.is_eligible(experiment, maker.user_key):
        return maker.make(control)
    if experiment.interleaving:
        return _interleaved(maker, control, experiment.arms[1])
    arm = assignment.assigned_arm(experiment, maker.user_key or "")
    if arm.is_control:
        return replace(maker.make(control), arm=arm.pk)
    ranked, error = _made_by_arm(maker, control, arm)
    return replace(maker.make(control) if ranked is None else ranked, arm=arm.pk, arm_error=error)


def _made_by_arm(maker: ListMaker, control: Variant, arm: Arm) -> tuple[RankedList | None, str]:
    """Return the list of the arm, or None and why there is none."""
    variant = Variant(
        configuration=control.configuration.with_overrides(arm.overrides),
        placement=arm.placement,
        index_version=arm.index_version_id,
        model_version=arm.model_version_id,
    )
    try:
        ranked = maker.make(variant)
    except Exception as error:  # an experiment must not break what works without it
        logger.error("arm failed arm=%d error=%s", arm.pk, type(error).__name__)
        return None, _recorded(error)
    lacking = ranked.degraded if arm.index_version_id is not None else _of_its_own(ranked.degraded)
    if lacking:
        return None, f"answered without {', '.join(lacking)}"[:ERROR_LENGTH]
    return ranked, ""


def _of_its_own(degraded: Sequence[str]) -> list[str]:
    """Return what may be missing for what the arm changes: the control may well have it."""
    return [part for part in degraded if part in ("signals", "strategy")]


def _recorded(error: Exception) -> str:
    """Return what is kept of the error: nothing that the visitor sent, which most errors may repeat."""
    name = type(error).__name__
    if isinstance(error, LlmrecError) and not isinstance(error, InvalidRequest):
        return f"{name}: {error}"[:ERROR_LENGTH]
    return name[:ERROR_LENGTH]


def _interleaved(maker: ListMaker, control: Variant, arm: Arm) -> RankedList:
    """Return both lists in one, with who put which item there; scores are those of the list it is from."""
    ours = maker.make(control)
    theirs, error = _made_by_arm(maker, control, arm)
    if theirs is None:
        return replace(ours, arm=arm.pk, arm_error=error)
    lists = [{item.key: item for item in ranked.items} for ranked in (ours, theirs)]
    drafted = team_draft(list(lists[0]), list(lists[1]), rng=np.random.default_rng())
    sources = {**theirs.context.sources, **ours.context.sources}
    totals = [len(one.items) if one.total is None else one.total for one in (ours, theirs)]
    return replace(
        ours,
        items=[lists[team][key] for key, team in drafted],
        context=replace(
            ours.context,
            sources=sources,
            weekly_counts={**theirs.context.weekly_counts, **ours.context.weekly_counts},
            pointwise=None,
        ),
        total=max(*totals, len(drafted)),
        degraded=tuple(dict.fromkeys((*ours.degraded, *theirs.degraded))),
        arm=arm.pk,
        teams=dict(drafted),
    )
