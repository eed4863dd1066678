"""What of the school can be found, what learners say of themselves, and what they enrolled in."""

from __future__ import annotations

from dataclasses import replace

from llmrec_plugin.documents import (
    InteractionSource,
    Progression,
    SearchDocument,
    Signals,
    UserDocument,
    register,
)
from llmrec_plugin.types import PreparedItem
from project.languages import in_all_languages
from project.school.models import Course, Enrolment, Learner, Subject


@register
class CourseDocument(SearchDocument[Course]):
    """English and Chinese courses in one index: the default encoder reads both."""

    model = Course
    text_fields = {"title": 3, "description": 1, "teacher": 1, "subject_names": 1}
    filter_fields = ["language", "subject", "level", "teacher", "published"]
    signals = Signals(date="published", group="teacher")
    language = "language"
    date_field = "published"
    progression = Progression(requires="prerequisites", level="level", within="subject")

    def prepare_subject_names(self, course: Course) -> str:
        return in_all_languages(Subject(course.subject).label)

    def prepare(self, course: Course) -> PreparedItem | None:
        """Teacher and subject are words to be found, not part of what the course means."""
        document = super().prepare(course)
        if document is None:
            return None
        return replace(document, passage=f"{document.text['title']}\n{document.text['description']}".strip())


@register
class LearnerDocument(UserDocument[Learner]):
    model = Learner
    text_fields = ["interests"]
    user_field = "user_id"
    level_field = "level"


@register
class EnrolmentSource(InteractionSource[Enrolment]):
    model = Enrolment
    document = "course"
    user_field = "learner__user_id"
    item_field = "course_id"
    kind = "enrol"
    time_field = "created"
