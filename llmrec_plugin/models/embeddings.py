"""Vectors as rows of the site's database, so that a text that did not change is never encoded twice."""

from __future__ import annotations

import numpy as np
from django.db import models
from django.utils.translation import gettext_lazy as _

from llmrec_plugin.types import Vector


class Embedding(models.Model):
    """The vector of one item by one encoder; `fingerprint` is the hash of the text it came from."""

    document = models.CharField(_("document"), max_length=100)
    object_id = models.CharField(_("object"), max_length=255)
    encoder_id = models.CharField(_("encoder"), max_length=64)
    fingerprint = models.CharField(_("fingerprint"), max_length=64)
    vector = models.BinaryField(_("vector"), help_text=_("Little-endian float32."))
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        verbose_name = _("embedding")
        verbose_name_plural = _("embeddings")
        constraints = [
            models.UniqueConstraint(
                fields=["document", "encoder_id", "object_id"], name="llmrec_embedding_unique"
            )
        ]
        indexes = [models.Index(fields=["encoder_id", "fingerprint"], name="llmrec_embedding_text")]

    def __str__(self) -> str:
        return f"{self.document} {self.object_id}"

    def as_array(self) -> Vector:
        """Unit vector, shape (dimensions,)."""
        return np.frombuffer(self.vector, dtype="<f4").astype(np.float32, copy=False)
