"""Vectors as rows of the site's database, so that a text that did not change is never encoded twice."""

from __future__ import annotations

import numpy as np
from django.db import models
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.models.own import OwnModel
from llmrec_plugin.types import Vector


def vector_of(stored: bytes | memoryview) -> Vector:
    """Unit vector, shape (dimensions,), of what a row keeps."""
    return np.frombuffer(stored, dtype="<f4").astype(np.float32, copy=False)


class StoredVector(OwnModel):
    """The vector of one text by one encoder; `fingerprint` is the hash of that text."""

    encoder_id = models.CharField(_("encoder"), max_length=64)
    fingerprint = models.CharField(_("fingerprint"), max_length=64)
    vector = models.BinaryField(_("vector"), help_text=_("Little-endian float32."))
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        abstract = True

    def as_array(self) -> Vector:
        """Unit vector, shape (dimensions,)."""
        return vector_of(self.vector)


class Embedding(StoredVector):
    """The vector of one item."""

    document = models.CharField(_("document"), max_length=100)
    item_id = models.CharField(_("object"), max_length=255)

    class Meta:
        verbose_name = _("embedding")
        verbose_name_plural = _("embeddings")
        constraints = [
            models.UniqueConstraint(
                fields=["document", "encoder_id", "item_id"], name="llmrec_embedding_unique"
            )
        ]
        indexes = [models.Index(fields=["encoder_id", "fingerprint"], name="llmrec_embedding_text")]

    def __str__(self) -> str:
        return f"{self.document} {self.item_id}"


class UserEmbedding(StoredVector):
    """The vector of what a user says about themselves."""

    user_key = models.CharField(_("user"), max_length=100)

    class Meta:
        verbose_name = _("embedding of a user")
        verbose_name_plural = _("embeddings of users")
        constraints = [
            models.UniqueConstraint(fields=["user_key", "encoder_id"], name="llmrec_user_embedding_unique")
        ]

    def __str__(self) -> str:
        return self.encoder_id


class UserChange(OwnModel):
    """A user of whom something new is known, or who is to be erased. Rows are only appended and deleted, so
    that no request waits for another; those of one user are one piece of work."""

    user_key = models.CharField(_("user"), max_length=100)
    erase = models.BooleanField(_("to be erased"), default=False)
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("change of a user")
        verbose_name_plural = _("changes of users")
        ordering = ["id"]
        indexes = [models.Index(fields=["user_key"], name="llmrec_user_change_user")]

    def __str__(self) -> str:
        return str(self.pk)
