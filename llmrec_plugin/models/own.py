"""What all tables of the app have in common: they are read where they are written.

A site may send reads to replicas that lag behind. What stands in these tables is mostly asked for right after
it was written: leases, marks, revisions, consent, the events of a click ago.
"""

from __future__ import annotations

from typing import TypeVar

from django.db import models, router

M = TypeVar("M", bound=models.Model)


class OwnManager(models.Manager[M]):
    """Names the database that rows are written to wherever nobody names another."""

    def get_queryset(self) -> models.QuerySet[M]:
        rows = super().get_queryset()
        return rows if self._db else rows.using(router.db_for_write(self.model))


class OwnModel(models.Model):
    """A table of the app."""

    objects = OwnManager()

    class Meta:
        abstract = True
        base_manager_name = "objects"  # relations and `refresh_from_db` read by it


def database(model: type[models.Model] | None = None) -> str:
    """Return the database that the app's tables live in, all in one; a system check holds routers to that."""
    from llmrec_plugin.models.outbox import Lease

    return router.db_for_write(model or Lease)
