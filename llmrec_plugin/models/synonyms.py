"""Words that mean the same to visitors, as editors know them; in effect from the next request on."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.editions import VersionedRow
from llmrec_plugin.models.own import OwnModel

MAX_LINES = 50
LONGEST_LINE = 100


class Synonym(VersionedRow):
    """One group of words; a search for one of them finds the others, too."""

    class Kind(models.TextChoices):
        TWO_WAY = "two-way", _("each stands for all the others")
        ONE_WAY = "one-way", _("a search for the first finds the second, not the other way round")

    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices, default=Kind.TWO_WAY)
    words = models.TextField(_("words"), help_text=_("One word or phrase per line, such as: tv"))
    found = models.TextField(
        _("also finds"),
        blank=True,
        default="",
        help_text=_("One-way only: what is found as well, one word or phrase per line, such as: projector"),
    )
    document = models.CharField(
        _("document"), max_length=100, blank=True, default="", help_text=_("Empty: all of them.")
    )
    language = models.CharField(
        _("language of the search"), max_length=10, blank=True, default="", help_text=_("Empty: any.")
    )

    class Meta:
        verbose_name = _("synonym")
        verbose_name_plural = _("synonyms")
        ordering = ["words"]

    def __str__(self) -> str:
        arrow = " → " if self.kind == self.Kind.ONE_WAY else ""
        return ", ".join(lines_of(self.words)) + (arrow + ", ".join(lines_of(self.found)) if arrow else "")

    def clean(self) -> None:
        words, found = lines_of(self.words), lines_of(self.found)
        for name, lines in (("words", words), ("found", found)):
            if len(lines) > MAX_LINES or any(len(line) > LONGEST_LINE for line in lines):
                raise ValidationError(
                    {name: _("At most %d lines of %d characters.") % (MAX_LINES, LONGEST_LINE)}
                )
            if not all(any(map(str.isalnum, line)) for line in lines):
                raise ValidationError({name: _("Each line needs a letter or a digit.")})
        if self.kind == self.Kind.TWO_WAY:
            if found:
                raise ValidationError({"found": _("Leave this empty, or choose one-way.")})
            if len(words) < 2:
                raise ValidationError({"words": _("Give two lines at least.")})
        elif not found:
            raise ValidationError({"found": _("Say what is found as well.")})
        elif not words:
            raise ValidationError({"words": _("Say what is searched for.")})


class SynonymSuggestion(OwnModel):
    """Words that seem to mean the same to visitors, until an editor says whether they do."""

    class State(models.TextChoices):
        OPEN = "open", _("undecided")
        ACCEPTED = "accepted", _("accepted")
        DISMISSED = "dismissed", _("dismissed")

    document = models.CharField(_("document"), max_length=100)
    kind = models.CharField(_("kind"), max_length=10, choices=Synonym.Kind.choices)
    words = models.TextField(_("words"))
    found = models.TextField(_("also finds"), blank=True, default="")
    visitors = models.PositiveIntegerField(_("visitors"))
    evidence = models.JSONField(_("evidence"), default=dict)
    state = models.CharField(_("decision"), max_length=10, choices=State.choices, default=State.OPEN)
    by = models.CharField(_("by"), max_length=150, blank=True, default="")
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    at = models.DateTimeField(_("found"), auto_now_add=True)

    class Meta:
        verbose_name = _("suggested synonym")
        verbose_name_plural = _("suggested synonyms")
        ordering = ["-visitors", "id"]
        indexes = [models.Index(fields=["document", "state"], name="llmrec_suggestion_state")]

    def __str__(self) -> str:
        return str(self.as_synonym())

    def as_synonym(self) -> Synonym:
        """The row that an editor may make of it; not saved."""
        return Synonym(kind=self.kind, words=self.words, found=self.found, document=self.document)


def lines_of(text: str) -> list[str]:
    """Each line once, without blanks around it."""
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
