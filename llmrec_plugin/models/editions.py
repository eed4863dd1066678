"""Rows that editors write and every request reads: one change of them begins a new edition.

The edition stands in the configuration row, and each request reads it. So a process that has read
these rows knows without a query whether they are still the same.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.db import models, router, transaction
from django.db.models.signals import post_delete, post_save
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.configuration import Configuration
from llmrec_plugin.models.own import OwnManager, OwnModel


class VersionedQuerySet(models.QuerySet[Any]):
    """Also what sends no signals begins a new edition."""

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            count = super().update(**kwargs)
            Configuration.begin_edition(using=self.db)
        return count

    def bulk_create(self, *args: Any, **kwargs: Any) -> list[Any]:
        using = router.db_for_write(self.model)
        with transaction.atomic(using=using):
            created = super().bulk_create(*args, **kwargs)
            Configuration.begin_edition(using=using)
        return created


class VersionedRow(OwnModel):
    """Its rows are remembered by every process until an edition begins."""

    enabled = models.BooleanField(_("in effect"), default=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects: ClassVar[OwnManager[Self]] = OwnManager.from_queryset(VersionedQuerySet)()

    class Meta:
        abstract = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """For these models only: a receiver for all senders would slow down every delete of the site."""
        super().__init_subclass__(**kwargs)
        post_save.connect(_begin_edition, sender=cls)
        post_delete.connect(_begin_edition, sender=cls)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """The row and the edition change together."""
        with transaction.atomic(using=kwargs.get("using") or router.db_for_write(type(self), instance=self)):
            super().save(*args, **kwargs)


def _begin_edition(sender: type[models.Model], using: str, **kwargs: object) -> None:
    Configuration.begin_edition(using=using)
