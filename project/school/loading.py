"""Fills the school from its sample data, in bulk and in one transaction: all of it or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction

from project.school.models import Course, Enrolment, Learner
from project.storefront.accounts import create_users

PUBLISHED_BEFORE = timedelta(days=7)
"""A course was published a week before its first enrolment; one without any is from the last days."""


@transaction.atomic
def load_school(fixtures: Path, *, last_day: date) -> bool:
    """Load courses, learners and enrolments, moved in time so that the last falls on `last_day`.

    False: there were courses already, and nothing was touched.
    """
    if Course.objects.exists():
        return False
    courses = _read(fixtures / "school_courses.jsonl")
    learners = _read(fixtures / "school_learners.jsonl")
    enrolments = _moved(learners, last_day)
    _create_courses(courses, enrolments, last_day)
    users = create_users((row["username"], row["name"]) for row in learners)
    created = Learner.objects.bulk_create(
        Learner(
            user=users[row["username"]],
            language=row["language"],
            level=row["level"],
            interests=row["interests"],
        )
        for row in learners
    )
    by_username = {learner.user.username: learner for learner in created}
    Enrolment.objects.bulk_create(
        Enrolment(learner=by_username[username], course_id=code, created=at)
        for username, code, at in enrolments
    )
    return True


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _moved(learners: Iterable[dict[str, Any]], last_day: date) -> list[tuple[str, str, datetime]]:
    """(username, course, time), oldest first."""
    sample = [
        (learner["username"], code, datetime.fromisoformat(at).replace(tzinfo=UTC))
        for learner in learners
        for code, at in learner["enrolments"]
    ]
    shift = timedelta(days=(last_day - max(at for *_, at in sample).date()).days)
    return sorted(((username, code, at + shift) for username, code, at in sample), key=lambda row: row[2])


def _create_courses(
    rows: Sequence[dict[str, Any]], enrolments: Sequence[tuple[str, str, datetime]], last_day: date
) -> None:
    first = {code: at for _, code, at in reversed(enrolments)}
    new = datetime(last_day.year, last_day.month, last_day.day, tzinfo=UTC)
    fields = ("code", "language", "title", "description", "subject", "level", "teacher")
    Course.objects.bulk_create(
        Course(
            published=first[row["code"]] - PUBLISHED_BEFORE if row["code"] in first else new,
            **{name: row[name] for name in fields},
        )
        for row in rows
    )
    requires = Course.prerequisites.through
    requires.objects.bulk_create(
        requires(from_course_id=row["code"], to_course_id=code)
        for row in rows
        for code in row.get("prerequisites", ())
    )
