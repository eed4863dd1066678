"""Everything that may happen to the rows of that site, each by name, for tests that draw what happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from django.db.models import Model
from taggit.models import Tag

from tests.strangers.models import (
    Article,
    ArticleProxy,
    Comment,
    Country,
    Label,
    Labelling,
    Lesson,
    LongArticle,
    Maker,
    Note,
    Opening,
    Place,
    PlaceTag,
    Report,
    SpecialMaker,
    Summary,
    TaggedPlace,
    Topic,
)

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron")
MODELS: tuple[type[Model], ...] = (
    Comment, Summary, Note, Labelling, LongArticle, Article, SpecialMaker, Maker, Country, Topic, Label, Tag,
    Report, Opening, TaggedPlace, PlaceTag, Place, Lesson,
)  # fmt: skip


class Step(NamedTuple):
    """One change: what happens, and the numbers by which its rows and words are chosen."""

    name: str
    first: int
    second: int
    word: int


class Chosen:
    """The rows and words of a step, read anew."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def row(self, model: type[Any]) -> Any:
        return self._at(model, self._step.first)

    def other(self, model: type[Any]) -> Any:
        return self._at(model, self._step.second)

    @property
    def word(self) -> str:
        return WORDS[self._step.word % len(WORDS)]

    @property
    def next_word(self) -> str:
        return WORDS[(self._step.word + self._step.second + 1) % len(WORDS)]

    def _at(self, model: type[Any], number: int) -> Any:
        rows = model._default_manager.order_by("pk")
        count = rows.count()
        return rows[number % count] if count else None


def do(step: Step) -> None:
    """Make the change, or none where the rows for it are not there."""
    chosen = Chosen(step)
    CHANGES[step.name](chosen)


CHANGES: dict[str, Callable[[Chosen], object]] = {}


def change(function: Callable[[Chosen], object]) -> Callable[[Chosen], object]:
    CHANGES[function.__name__] = function
    return function


def start() -> None:
    """Two rows of each kind, related to each other."""
    country = Country.objects.create(name="Norway")
    makers = [Maker.objects.create(name="Ada", country=country)]
    makers.append(SpecialMaker.objects.create(name="Bo", motto="always", country=country))
    topic = Topic.objects.create(name="wood")
    topics = [topic, Topic.objects.create(name="oak", parent=topic)]
    labels = [Label.objects.create(name=name) for name in ("new", "old")]
    articles = [
        Article.objects.create(title="Desk", maker=makers[0]),
        LongArticle.objects.create(title="Shelf", maker=makers[1], body="stands"),
    ]
    for article, maker, label in zip(articles, topics, labels, strict=True):
        article.topics.add(maker)
        Labelling.objects.create(article=article, label=label)
        Comment.objects.create(article=article, text="splendid")
        Note.objects.create(subject=article, text="noted")
        article.tags.add("blue", "green")
    Summary.objects.create(article=articles[0], text="short")
    report = Report.objects.create(title="Survey")
    report.tags.add("blue")
    for name in ("Hall", "Yard"):
        place = Place(name=name)
        place.tags.add("quiet")
        place.openings.add(Opening(day="monday"))
        place.save()
    for code in ("one", "two"):
        lesson = Lesson(code=code)
        lesson.set_current_language("en")
        lesson.title = "Basics"
        lesson.save()


def clear() -> None:
    """Delete every row."""
    for model in MODELS:
        for row in model._default_manager.all():
            row.delete()


# Articles: fields, keys and kinds of models


@change
def rename_article(chosen: Chosen) -> None:
    if article := chosen.row(Article):
        article.title = chosen.word
        article.save(update_fields=["title"])


@change
def rename_through_the_proxy(chosen: Chosen) -> None:
    if article := chosen.row(ArticleProxy):
        article.title = chosen.word
        article.save()


@change
def rewrite_long_article(chosen: Chosen) -> None:
    if article := chosen.row(LongArticle):
        article.body, article.title = chosen.word, chosen.next_word
        article.save()


@change
def add_article(chosen: Chosen) -> None:
    Article.objects.create(title=chosen.word, maker=chosen.row(Maker))


@change
def lengthen_article(chosen: Chosen) -> None:
    """A row of the child model for a row that is there."""
    article = chosen.row(Article)
    if article and not LongArticle.objects.filter(pk=article.pk).exists():
        long = LongArticle(article_ptr=article, body=chosen.word)
        long.__dict__.update(title=chosen.next_word, maker_id=article.maker_id, details=article.details)
        long.save()


@change
def shorten_article(chosen: Chosen) -> None:
    if article := chosen.row(LongArticle):
        article.delete(keep_parents=True)


@change
def delete_article(chosen: Chosen) -> None:
    if article := chosen.row(Article):
        article.delete()


@change
def delete_articles(chosen: Chosen) -> None:
    Article.objects.filter(title=chosen.word).delete()


@change
def give_another_maker(chosen: Chosen) -> None:
    if article := chosen.row(Article):
        article.maker = chosen.other(Maker)
        article.save()


@change
def fill_details(chosen: Chosen) -> None:
    if article := chosen.row(Article):
        shapes: list[Any] = [
            {"colour": chosen.word},
            [chosen.word],
            chosen.word,
            None,
            {"colour": {"a": 1}},
            7,
        ]
        article.details = shapes[len(chosen.next_word + chosen.word) % len(shapes)] or {}
        article.save()


# What articles refer to


@change
def rename_maker(chosen: Chosen) -> None:
    if maker := chosen.row(Maker):
        maker.name = chosen.word
        maker.save()


@change
def move_maker(chosen: Chosen) -> None:
    if maker := chosen.row(Maker):
        maker.country = chosen.other(Country)
        maker.save()


@change
def change_motto(chosen: Chosen) -> None:
    if maker := chosen.row(SpecialMaker):
        maker.motto, maker.name = chosen.word, chosen.next_word
        maker.save()


@change
def make_maker_special(chosen: Chosen) -> None:
    maker = chosen.row(Maker)
    if maker and not SpecialMaker.objects.filter(pk=maker.pk).exists():
        special = SpecialMaker(maker_ptr=maker, motto=chosen.word)
        special.__dict__.update(name=chosen.next_word, country_id=maker.country_id)
        special.save()


@change
def delete_maker(chosen: Chosen) -> None:
    if maker := chosen.row(Maker):
        maker.delete()


@change
def add_maker(chosen: Chosen) -> None:
    SpecialMaker.objects.create(name=chosen.word, motto=chosen.next_word)


@change
def rename_country(chosen: Chosen) -> None:
    if country := chosen.row(Country):
        country.name = chosen.word
        country.save()


@change
def replace_country(chosen: Chosen) -> None:
    if country := chosen.row(Country):
        country.delete()
    Country.objects.create(name=chosen.word)


# Many-to-many


@change
def set_topics(chosen: Chosen) -> None:
    if article := chosen.row(Article):
        article.topics.set(Topic.objects.filter(pk__gte=getattr(chosen.other(Topic), "pk", 0)))


@change
def add_topic_from_its_side(chosen: Chosen) -> None:
    topic, article = chosen.other(Topic), chosen.row(Article)
    if topic and article:
        topic.articles.add(article)


@change
def clear_topic_from_its_side(chosen: Chosen) -> None:
    if topic := chosen.row(Topic):
        topic.articles.clear()


@change
def set_topics_of_long_article(chosen: Chosen) -> None:
    if article := chosen.row(LongArticle):
        article.topics.set([topic for topic in [chosen.other(Topic)] if topic])


@change
def change_topic(chosen: Chosen) -> None:
    if topic := chosen.row(Topic):
        parent = chosen.other(Topic)
        topic.name, topic.parent = chosen.word, None if parent == topic else parent
        topic.save()


@change
def replace_topic(chosen: Chosen) -> None:
    if topic := chosen.row(Topic):
        topic.delete()
    Topic.objects.create(name=chosen.word)


@change
def befriend(chosen: Chosen) -> None:
    article, other = chosen.row(Article), chosen.other(Article)
    if article and article != other:
        article.friends.add(other)


@change
def end_friendship(chosen: Chosen) -> None:
    article, other = chosen.row(Article), chosen.other(Article)
    if article and other:
        article.friends.remove(other)


@change
def end_all_friendships(chosen: Chosen) -> None:
    if article := chosen.row(Article):
        article.friends.clear()


@change
def label_article(chosen: Chosen) -> None:
    article, label = chosen.row(Article), chosen.other(Label)
    if article and label:
        article.labels.add(label)


@change
def add_labelling(chosen: Chosen) -> None:
    article, label = chosen.row(Article), chosen.other(Label)
    if article and label:
        Labelling.objects.create(article=article, label=label)


@change
def move_labelling(chosen: Chosen) -> None:
    if (labelling := chosen.row(Labelling)) and (article := chosen.other(Article)):
        labelling.article = article
        labelling.save()


@change
def move_labelling_unread(chosen: Chosen) -> None:
    """By a row made with the key of one that is there."""
    if (labelling := chosen.row(Labelling)) and (article := chosen.other(Article)):
        Labelling(pk=labelling.pk, article=article, label_id=labelling.label_id).save()


@change
def relabel(chosen: Chosen) -> None:
    if (labelling := chosen.row(Labelling)) and (label := chosen.other(Label)):
        labelling.label = label
        labelling.save(update_fields=["label"])


@change
def delete_labelling(chosen: Chosen) -> None:
    """After another owner was put into the instance, and not saved."""
    if labelling := chosen.row(Labelling):
        labelling.article = chosen.other(Article)
        labelling.delete()


@change
def replace_label(chosen: Chosen) -> None:
    if label := chosen.row(Label):
        label.delete()
    Label.objects.create(name=chosen.word)


@change
def clear_label_from_its_side(chosen: Chosen) -> None:
    if label := chosen.row(Label):
        label.articles.clear()


# Rows that name their article


@change
def add_comment(chosen: Chosen) -> None:
    Comment.objects.create(article=chosen.row(Article), text=chosen.word)


@change
def move_comment(chosen: Chosen) -> None:
    if comment := chosen.row(Comment):
        comment.article = chosen.other(Article)
        comment.save()


@change
def move_comment_unread(chosen: Chosen) -> None:
    if comment := chosen.row(Comment):
        Comment(pk=comment.pk, article=chosen.other(Article), text=chosen.word).save()


@change
def edit_comment_alone(chosen: Chosen) -> None:
    """Its new article is put into the instance, and not among what is saved."""
    if comment := chosen.row(Comment):
        comment.article, comment.text = chosen.other(Article), chosen.word
        comment.save(update_fields=["text"])


@change
def delete_comment(chosen: Chosen) -> None:
    if comment := chosen.row(Comment):
        comment.article = chosen.other(Article)
        comment.delete()


@change
def delete_comments(chosen: Chosen) -> None:
    Comment.objects.filter(text=chosen.word).delete()


@change
def move_summary(chosen: Chosen) -> None:
    summary, article = chosen.row(Summary), chosen.other(Article)
    if article and not Summary.objects.filter(article=article).exists():
        if summary:
            summary.article, summary.text = article, chosen.word
            summary.save()
        else:
            Summary.objects.create(article=article, text=chosen.word)


@change
def add_note(chosen: Chosen) -> None:
    if article := chosen.row(Article):
        Note.objects.create(subject=article, text=chosen.word)


@change
def move_note(chosen: Chosen) -> None:
    if note := chosen.row(Note):
        note.subject = chosen.other(Article) or chosen.other(Maker) or note.subject
        note.text = chosen.word
        note.save()


@change
def take_note_elsewhere(chosen: Chosen) -> None:
    if (note := chosen.row(Note)) and (maker := chosen.other(Maker)):
        note.subject = maker
        note.save()


@change
def delete_note(chosen: Chosen) -> None:
    if note := chosen.row(Note):
        note.delete()


# django-taggit


@change
def add_tag(chosen: Chosen) -> None:
    if article := chosen.row(Article):
        article.tags.add(chosen.word)


@change
def set_tags(chosen: Chosen) -> None:
    if article := chosen.row(Article):
        article.tags.set([chosen.word, chosen.next_word])


@change
def remove_tag(chosen: Chosen) -> None:
    if (article := chosen.row(Article)) and (tag := chosen.other(Tag)):
        article.tags.remove(tag.name)


@change
def clear_tags(chosen: Chosen) -> None:
    if article := chosen.row(Article):
        article.tags.clear()


@change
def tag_long_article(chosen: Chosen) -> None:
    if article := chosen.row(LongArticle):
        article.tags.add(chosen.word)


@change
def tag_report(chosen: Chosen) -> None:
    if report := chosen.row(Report):
        report.tags.set([chosen.word])
    else:
        Report.objects.create(title=chosen.word)


@change
def rename_tag(chosen: Chosen) -> None:
    tag, name = chosen.row(Tag), f"{chosen.word} {chosen.next_word}"
    if tag and not Tag.objects.filter(name=name).exists():
        tag.name = name
        tag.save()


@change
def delete_tag(chosen: Chosen) -> None:
    if tag := chosen.row(Tag):
        tag.delete()


# django-modelcluster, as Wagtail's pages use it


@change
def edit_place(chosen: Chosen) -> None:
    if place := chosen.row(Place):
        place.name = chosen.word
        place.tags.set([chosen.next_word])
        place.openings.set([Opening(day=chosen.word)])
        place.topics.set(list(Topic.objects.all()[:1]))
        place.save()


@change
def tag_place(chosen: Chosen) -> None:
    if place := chosen.row(Place):
        place.tags.add(chosen.word)
        place.save()


@change
def untag_place(chosen: Chosen) -> None:
    if place := chosen.row(Place):
        place.tags.clear()
        place.openings.clear()
        place.save()


@change
def rename_tag_of_place(chosen: Chosen) -> None:
    tag = chosen.row(PlaceTag)
    if tag and not PlaceTag.objects.filter(name=chosen.word).exists():
        tag.name = chosen.word
        tag.save()


@change
def delete_tag_of_place(chosen: Chosen) -> None:
    if tag := chosen.row(PlaceTag):
        tag.delete()


@change
def replace_place(chosen: Chosen) -> None:
    if place := chosen.row(Place):
        place.delete()
    place = Place(name=chosen.word)
    place.tags.add(chosen.next_word)
    place.save()


# django-parler


@change
def translate_lesson(chosen: Chosen) -> None:
    if lesson := chosen.row(Lesson):
        lesson.set_current_language("zh-hans" if len(chosen.word) % 2 else "en")
        lesson.title = chosen.next_word
        lesson.save()


@change
def save_translation_alone(chosen: Chosen) -> None:
    if (lesson := chosen.row(Lesson)) and (translation := lesson.translations.first()):
        translation.title = chosen.word
        translation.save()


@change
def delete_translation(chosen: Chosen) -> None:
    if (lesson := chosen.row(Lesson)) and lesson.has_translation("zh-hans"):
        lesson.delete_translation("zh-hans")


@change
def replace_lesson(chosen: Chosen) -> None:
    if lesson := chosen.row(Lesson):
        lesson.delete()
    lesson = Lesson(code=chosen.word)
    lesson.set_current_language("en")
    lesson.title = chosen.next_word
    lesson.save()
