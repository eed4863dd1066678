"""The school in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin

from project.school.models import Course, Enrolment, Learner

if TYPE_CHECKING:
    CourseAdminBase = admin.ModelAdmin[Course]
    LearnerAdminBase = admin.ModelAdmin[Learner]
    EnrolmentInlineBase = admin.TabularInline[Enrolment, Learner]
else:
    CourseAdminBase = LearnerAdminBase = admin.ModelAdmin
    EnrolmentInlineBase = admin.TabularInline


@admin.register(Course)
class CourseAdmin(CourseAdminBase):
    list_display = ["title", "language", "subject", "level", "teacher"]
    list_filter = ["language", "subject", "level"]
    search_fields = ["title", "code", "teacher"]
    autocomplete_fields = ["prerequisites"]


class EnrolmentInline(EnrolmentInlineBase):
    model = Enrolment
    autocomplete_fields = ["course"]
    extra = 0


@admin.register(Learner)
class LearnerAdmin(LearnerAdminBase):
    list_display = ["user", "language", "level", "interests"]
    list_select_related = ["user"]
    list_filter = ["language", "level"]
    raw_id_fields = ["user"]
    search_fields = ["user__username", "interests"]
    inlines = [EnrolmentInline]
