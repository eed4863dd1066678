"""Articles that are related to rows in every way Django has, and to those that other packages add."""

# ruff: noqa: DJ008 (nobody looks at these rows)

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models
from modelcluster.contrib.taggit import ClusterTaggableManager
from modelcluster.fields import ParentalKey, ParentalManyToManyField
from modelcluster.models import ClusterableModel
from parler.models import TranslatableModel, TranslatedFields
from taggit.managers import TaggableManager
from taggit.models import GenericUUIDTaggedItemBase, ItemBase, TagBase, TaggedItemBase


class Country(models.Model):
    name = models.CharField(max_length=100)


class Maker(models.Model):
    name = models.CharField(max_length=100)
    country = models.ForeignKey(Country, null=True, on_delete=models.SET_NULL, related_name="makers")


class SpecialMaker(Maker):
    motto = models.CharField(max_length=100)


class Topic(models.Model):
    name = models.CharField(max_length=100)
    parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL)


class Label(models.Model):
    name = models.CharField(max_length=100)


class Article(models.Model):
    title = models.CharField(max_length=100)
    maker = models.ForeignKey(Maker, null=True, on_delete=models.SET_NULL, related_name="articles")
    topics: Any = models.ManyToManyField(Topic, related_name="articles")
    labels: Any = models.ManyToManyField(Label, through="Labelling", related_name="articles")
    friends: Any = models.ManyToManyField("self", symmetrical=True)
    details = models.JSONField(default=dict)
    notes = GenericRelation("Note")
    tags: Any = TaggableManager()


class ArticleProxy(Article):
    class Meta:
        proxy = True


class LongArticle(Article):
    body = models.CharField(max_length=100)


class Labelling(models.Model):
    article = models.ForeignKey(Article, on_delete=models.CASCADE)
    label = models.ForeignKey(Label, on_delete=models.CASCADE)


class Comment(models.Model):
    article = models.ForeignKey(Article, null=True, on_delete=models.CASCADE, related_name="comments")
    text = models.CharField(max_length=100)


class Summary(models.Model):
    article = models.OneToOneField(Article, on_delete=models.CASCADE, related_name="summary")
    text = models.CharField(max_length=100)


class Note(models.Model):
    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_id = models.CharField(max_length=50)
    subject = GenericForeignKey()
    text = models.CharField(max_length=100)


class UuidTagged(GenericUUIDTaggedItemBase, TaggedItemBase):
    pass


class Report(models.Model):
    """Its key is no number."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.CharField(max_length=100)
    tags: Any = TaggableManager(through=UuidTagged)


class PlaceTag(TagBase):
    pass


class TaggedPlace(ItemBase):
    tag = models.ForeignKey(PlaceTag, on_delete=models.CASCADE, related_name="tagged_places")
    content_object = ParentalKey("Place", on_delete=models.CASCADE, related_name="tagged_items")


class Place(ClusterableModel):
    name = models.CharField(max_length=100)
    topics: Any = ParentalManyToManyField(Topic, related_name="places")
    tags: Any = ClusterTaggableManager(through=TaggedPlace, blank=True)


class Opening(models.Model):
    place = ParentalKey(Place, on_delete=models.CASCADE, related_name="openings")
    day = models.CharField(max_length=100)


class Lesson(TranslatableModel):
    code = models.CharField(max_length=100)
    translations = TranslatedFields(title=models.CharField(max_length=100))
