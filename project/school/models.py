"""The school's own tables, as they would be without search or recommendations."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _


class Subject(models.TextChoices):
    AI = "ai", _("Machine learning & AI")
    BUSINESS = "business", _("Business")
    COOKING = "cooking", _("Cooking")
    DATABASES = "databases", _("Databases")
    DESIGN = "design", _("Design")
    FINANCE = "finance", _("Finance")
    HEALTH = "health", _("Health & sport")
    HISTORY = "history", _("History")
    LANGUAGES = "languages", _("Languages")
    MATHEMATICS = "mathematics", _("Mathematics")
    MUSIC = "music", _("Music")
    PHOTOGRAPHY = "photography", _("Photography & film")
    PROGRAMMING = "programming", _("Programming")
    SCIENCE = "science", _("Science")
    STATISTICS = "statistics", _("Statistics")
    WEB = "web", _("Web development")
    WRITING = "writing", _("Writing")


class Level(models.IntegerChoices):
    BEGINNER = 1, _("Beginner")
    INTERMEDIATE = 2, _("Intermediate")
    ADVANCED = 3, _("Advanced")
    EXPERT = 4, _("Expert")


class TeachingLanguage(models.TextChoices):
    ENGLISH = "en", _("English")
    CHINESE = "zh", _("Chinese")


class Course(models.Model):
    """A course of the school; its readable code is the primary key."""

    code = models.SlugField(_("code"), max_length=50, primary_key=True)
    language = models.CharField(_("language"), max_length=2, choices=TeachingLanguage.choices)
    title = models.CharField(_("title"), max_length=200)
    description = models.TextField(_("description"), help_text=_("HTML is allowed."))
    subject = models.CharField(_("subject"), max_length=20, choices=Subject.choices)
    level = models.PositiveSmallIntegerField(_("level"), choices=Level.choices)
    teacher = models.CharField(_("teacher"), max_length=100)
    prerequisites = models.ManyToManyField(
        "self", verbose_name=_("prerequisites"), symmetrical=False, blank=True, related_name="leads_to"
    )
    published = models.DateTimeField(_("published"))

    class Meta:
        verbose_name = _("course")
        verbose_name_plural = _("courses")
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("storefront:course", args=[self.pk])


class Learner(models.Model):
    """What the school knows of a user beside the courses taken."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.CASCADE, related_name="learner"
    )
    language = models.CharField(_("language"), max_length=2, choices=TeachingLanguage.choices)
    level = models.PositiveSmallIntegerField(_("level"), choices=Level.choices)
    interests = models.TextField(_("interests"), blank=True, default="")

    class Meta:
        verbose_name = _("learner")
        verbose_name_plural = _("learners")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} {self.pk}"


class Enrolment(models.Model):
    learner = models.ForeignKey(
        Learner, verbose_name=_("learner"), on_delete=models.CASCADE, related_name="enrolments"
    )
    course = models.ForeignKey(
        Course, verbose_name=_("course"), on_delete=models.CASCADE, related_name="enrolments"
    )
    created = models.DateTimeField(_("created"), db_index=True)

    class Meta:
        verbose_name = _("enrolment")
        verbose_name_plural = _("enrolments")
        ordering = ["-created"]
        constraints = [models.UniqueConstraint(fields=["learner", "course"], name="school_enrolment_unique")]

    def __str__(self) -> str:
        return f"{self.learner_id} → {self.course_id}"
