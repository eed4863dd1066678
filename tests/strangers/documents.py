"""What is read of them. Tests declare these for their own time, with `declared(*DOCUMENTS)`."""

from __future__ import annotations

from typing import Any

from llmrec_plugin.documents import SearchDocument
from tests.strangers.models import Article, ArticleProxy, Lesson, LongArticle, Place, Report


class ArticleDocument(SearchDocument[Article]):
    model = Article
    label = "article"
    text_fields = [
        "title",
        "maker__name",
        "maker__country__name",
        "maker__specialmaker__motto",
        "topics__name",
        "topics__parent__name",
        "labels__name",
        "friends__title",
        "tags__name",
        "notes__text",
        "comments__text",
        "summary__text",
        "details__colour",
    ]
    filter_fields = {
        "maker": "maker",
        "topics": "topics",
        "labels": "labels",
        "tags": "tags",
        "comments": "comments",
        "colour": "details__colour",
    }
    kinds = {"colour": "keyword"}


class ProxyDocument(SearchDocument[ArticleProxy]):
    model = ArticleProxy
    label = "proxied"
    text_fields = ["title", "comments__text"]
    filter_fields = {"labels": "labels__name"}


class LongDocument(SearchDocument[LongArticle]):
    model = LongArticle
    label = "long"
    text_fields = ["title", "body", "maker__name", "comments__text", "labels__name", "topics__name"]
    filter_fields = {"tags": "tags__name", "friends": "friends"}


class ReportDocument(SearchDocument[Report]):
    model = Report
    label = "report"
    text_fields = ["title", "tags__name"]
    filter_fields = {"tags": "tags"}


class PlaceDocument(SearchDocument[Place]):
    model = Place
    label = "place"
    text_fields = ["name", "tags__name", "openings__day"]
    filter_fields = {"topics": "topics__name", "tags": "tags__name"}


class LessonDocument(SearchDocument[Lesson]):
    model = Lesson
    label = "lesson"
    text_fields = ["title", "code"]
    filter_fields = {"titles": "translations__title"}


DOCUMENTS: tuple[Any, ...] = (
    ArticleDocument,
    ProxyDocument,
    LongDocument,
    ReportDocument,
    PlaceDocument,
    LessonDocument,
)
