"""What an editor may turn: one row, read on each request, in effect on the next."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from copy import copy
from typing import Any, ClassVar, Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.event_kinds import MAX_WEIGHT, default_kind_weights, of_known_kinds
from llmrec_plugin.learning.scorers.catalogue_scores import Shares
from llmrec_plugin.models.own import OwnManager, OwnModel
from llmrec_plugin.suggest import nearest

UNIT = [MinValueValidator(0.0), MaxValueValidator(1.0)]
POSITIVE = [MinValueValidator(0.01)]


LEARNED_IN_SEARCH = ("text_weight", "taste_weight")
"""Fields that training may find better values for."""


class ConfigurationQuerySet(models.QuerySet["Configuration"]):
    """Every change begins an edition, so that whoever remembers the row knows of it."""

    def update(self, **kwargs: Any) -> int:
        return super().update(**{"edition": _new_edition(), **kwargs})


class Configuration(OwnModel):
    """The weights of search and recommendation."""

    class Fusion(models.TextChoices):
        LINEAR = "linear", _("weighted sum of normalised scores")
        RRF = "rrf", _("reciprocal ranks")

    fusion = models.CharField(
        _("fusion"),
        max_length=10,
        choices=Fusion.choices,
        default=Fusion.LINEAR,
        help_text=_("How the list found by words and the list found by meaning become one."),
    )
    text_weight = models.FloatField(
        _("weight of words"),
        default=0.5,
        validators=UNIT,
        help_text=_("0: meaning alone, 1: words alone."),
    )
    rrf_k = models.PositiveIntegerField(
        _("rank constant"),
        default=60,
        validators=[MinValueValidator(1)],
        help_text=_("Reciprocal ranks only: the larger, the less the first places stand out."),
    )
    use_floor = models.BooleanField(
        _("similarity floor"),
        default=True,
        help_text=_("Leave out items whose meaning is no closer to the query than to nonsense."),
    )
    relax_queries = models.BooleanField(
        _("relaxing of searches that find nothing"),
        default=True,
        help_text=_(
            "Ask for less, and say so: in a better spelling, without quotes, for some of the words, at last "
            "for what is nearest in meaning."
        ),
    )
    freshness_weight = models.FloatField(
        _("weight of freshness"),
        default=0.0,
        validators=UNIT,
        help_text=_("How far a brand-new item is lifted above an old one, where the document names a date."),
    )
    freshness_half_life_days = models.FloatField(
        _("half-life of freshness (days)"),
        default=30.0,
        validators=POSITIVE,
        help_text=_("After this time an item counts half as new."),
    )
    availability_weight = models.FloatField(
        _("weight of availability"),
        default=0.0,
        validators=UNIT,
        help_text=_("How far what can be had is lifted above what cannot, where the document tells."),
    )
    most_per_group = models.PositiveIntegerField(
        _("items per group"),
        default=0,
        validators=[MaxValueValidator(100)],
        help_text=_(
            "Of one brand or teacher among the first 20, where the document names one; 0: any number."
        ),
    )
    signal_weights = models.JSONField(
        _("weights of the site's own signals"),
        default=dict,
        blank=True,
        help_text=_("How far each lifts an item in any search, from 0 to 1; what has none counts nothing."),
    )
    taste_weight = models.FloatField(
        _("strength of personal taste in search"),
        default=0.15,
        validators=UNIT,
        help_text=_("0: everybody sees the same order."),
    )
    search_learned = models.BooleanField(
        _("search: as learned"),
        default=True,
        help_text=_(
            "Once judgements or clicks have proved other weights of words and of personal taste to be "
            "better, those count instead of yours. Off: yours count, and none are looked for."
        ),
    )
    search_weights = models.JSONField(
        _("learned weights of search"),
        default=dict,
        blank=True,
        help_text=_('{"document": {"encoder_id": …, "text_weight": …, "taste_weight": …}}'),
    )
    half_life_days = models.FloatField(
        _("half-life of an event (days)"),
        default=90.0,
        validators=POSITIVE,
        help_text=_(
            "After this time an event counts half for the user's taste. Where a training has learned more "
            "than this, an event fades with each later one instead, as fast as fits the site's own events."
        ),
    )
    history_length = models.PositiveIntegerField(
        _("events per user"),
        default=50,
        validators=[MinValueValidator(1), MaxValueValidator(500)],
        help_text=_("The latest events that make up a user's taste."),
    )
    kind_weights = models.JSONField(
        _("weight of each kind of event"),
        default=default_kind_weights,
        help_text=_("How much one event says about the user; negative for what they do not want."),
    )
    learned = models.BooleanField(
        _("for you: as learned"),
        default=True,
        help_text=_(
            "Once training has found by the site's own events what works best, that counts instead of the "
            "three weights below."
        ),
    )
    recommendation_taste = models.FloatField(
        _("for you: taste"),
        default=0.3,
        validators=UNIT,
        help_text=_("Likeness to what the user chose before."),
    )
    recommendation_neighbours = models.FloatField(
        _("for you: other people"),
        default=0.6,
        validators=UNIT,
        help_text=_("What people with the same items took as well."),
    )
    recommendation_popularity = models.FloatField(
        _("for you: popularity"),
        default=0.1,
        validators=UNIT,
        help_text=_("Popular items first; a new item counts as average."),
    )
    diversity = models.FloatField(
        _("diversity"),
        default=0.15,
        validators=UNIT,
        help_text=_("Recommendations: how strongly an item is held back for resembling those above it."),
    )
    trending_half_life_days = models.FloatField(
        _("trending: half-life (days)"),
        default=7.0,
        validators=POSITIVE,
        help_text=_("After this time an event counts half for the trend."),
    )
    candidates = models.PositiveIntegerField(
        _("candidates"),
        default=200,
        validators=[MinValueValidator(20), MaxValueValidator(1000)],
        help_text=_("Items that words, and meaning, each put forward for ranking."),
    )
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    edition = models.CharField(max_length=16, default="", editable=False)
    """Another one after each change of this row, of rules, placements, synonyms or experiments; empty: there
    has never been any."""

    objects: ClassVar[OwnManager[Self]] = OwnManager.from_queryset(ConfigurationQuerySet)()

    changed_by = ""
    """Who is about to save it: for the history of its values."""

    class Meta:
        verbose_name = _("configuration")
        verbose_name_plural = _("configuration")

    def __str__(self) -> str:
        return str(_("configuration"))

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.pk = 1
        self.edition = _new_edition()  # what was read before may be older than what stands there now
        super().save(*args, **kwargs)

    def clean(self) -> None:
        check_kind_weights(self.kind_weights)
        _check_signal_weights(self.signal_weights)
        if not _are_search_weights(self.search_weights):
            raise ValidationError(
                {"search_weights": _("Give an encoder and weights from 0 to 1 for each document.")}
            )

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any
    ) -> Configuration:
        """Return the row, with the weights of just those kinds of events that are registered by now."""
        configuration = super().from_db(db, field_names, values, **options)
        if "kind_weights" in field_names:
            configuration.kind_weights = of_known_kinds(configuration.kind_weights)
        return configuration

    def for_search(self, document: str, encoder_id: str) -> Configuration:
        """With the weights that were learned for searches of the document, where they count and belong to
        the encoder that answers."""
        entry = self.search_weights.get(document, {}) if self.search_learned else {}
        if entry.get("encoder_id") != encoder_id:
            return self
        changed = copy(self)
        for name in LEARNED_IN_SEARCH:
            setattr(changed, name, entry.get(name, getattr(self, name)))
        return changed

    def shares(self) -> Shares:
        """The weights of for-you that stand here."""
        return Shares(
            taste=self.recommendation_taste,
            neighbours=self.recommendation_neighbours,
            popularity=self.recommendation_popularity,
        )

    @classmethod
    def tunable(cls) -> list[str]:
        """Names of the fields that an editor, or an arm of an experiment, may turn."""
        return [field.name for field in cls._meta.fields if field.editable and not field.primary_key]

    def with_overrides(self, overrides: Mapping[str, Any]) -> Configuration:
        """A copy in which these fields differ; neither is saved by it. A weight that is given counts in place
        of what was learned."""
        changed = copy(self)
        given = [name for name in LEARNED_IN_SEARCH if name in overrides]
        changed.search_weights = {
            document: {name: value for name, value in entry.items() if name not in given}
            for document, entry in self.search_weights.items()
        }
        for name, value in overrides.items():
            setattr(changed, name, value)
        if isinstance(changed.kind_weights, dict):  # what is not said of a kind stays as it is
            changed.kind_weights = of_known_kinds({**self.kind_weights, **changed.kind_weights})
        return changed

    @classmethod
    def current(cls) -> Configuration:
        """The row as it stands now, or the defaults where nobody has saved one; one query."""
        return cls.objects.filter(pk=1).first() or cls(pk=1)

    @classmethod
    def begin_edition(cls, *, using: str) -> None:
        """Have every process read rules, placements and experiments again, from its next request on."""
        if not cls.objects.using(using).filter(pk=1).update():
            cls().save(using=using)


def nearest_known(name: object, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the one that may have been meant, or nothing."""
    near = nearest(name, known)
    return "" if near is None else " " + _("Did you mean “%s”?") % near


def check_kind_weights(weights: Any, *, whole: bool = True) -> None:
    """Raise ValidationError unless these are numbers by kinds of events, of each kind there is if `whole`."""
    known = default_kind_weights()
    for kind in weights if isinstance(weights, dict) else ():
        if kind not in known:
            text = _("There is no kind of event “%(name)s”. Known: %(known)s.")
            message = text % {"name": kind, "known": ", ".join(known)} + nearest_known(kind, known)
            raise ValidationError({"kind_weights": message})
    if not isinstance(weights, dict) or (whole and weights.keys() != known.keys()):
        raise ValidationError({"kind_weights": _("Give a number for each of: %s.") % ", ".join(known)})
    for kind, weight in weights.items():
        if not _is_number(weight) or not abs(weight) <= MAX_WEIGHT:
            message = _("The weight of “%s” must be a number from -10 to 10.") % kind
            raise ValidationError({"kind_weights": message})


def _check_signal_weights(weights: Any) -> None:
    """Raise ValidationError unless these are {name of a signal: 0..1}."""
    if not isinstance(weights, dict):
        raise ValidationError({"signal_weights": _("Give a weight from 0 to 1 for each signal.")})
    for name, weight in weights.items():
        if not _is_number(weight) or not 0 <= weight <= 1:
            message = _("The weight of the signal “%s” must be a number from 0 to 1.") % name
            raise ValidationError({"signal_weights": message})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_search_weights(value: Any) -> bool:
    """{document: {"encoder_id": text, weight: 0..1}}, a weight that was not learned being left out."""
    if not isinstance(value, dict) or not all(isinstance(entry, dict) for entry in value.values()):
        return False
    for entry in value.values():
        weights = {name: weight for name, weight in entry.items() if name != "encoder_id"}
        if not isinstance(entry.get("encoder_id"), str) or not weights.keys() <= set(LEARNED_IN_SEARCH):
            return False
        if not all(_is_number(weight) and 0 <= weight <= 1 for weight in weights.values()):
            return False
    return True


def _new_edition() -> str:
    """Never the same again, so that no process takes what it has read before for it."""
    return secrets.token_hex(8)
