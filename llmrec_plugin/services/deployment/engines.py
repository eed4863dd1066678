"""Finds the engine of an index version, and the schema it was made with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from llmrec_plugin.backends import get_backend
from llmrec_plugin.backends.base import AttachedBackend, SearchBackend
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import BackendUnavailable, IndexConflict, IndexDamaged, LlmrecError, NotFound
from llmrec_plugin.models import IndexVersion
from llmrec_plugin.services.coordination import site_code
from llmrec_plugin.types import AttachedIndex, IndexSchema


def schema_of(index_version: IndexVersion) -> IndexSchema:
    """Return what the index of this version holds."""
    return IndexSchema(
        text_fields=tuple(index_version.schema["text_fields"]),
        filters=index_version.schema["filters"],
        dimensions=index_version.dimensions,
        encoder_id=index_version.encoder_id,
        analysis_id=index_version.analysis_id,
        attached=_attached(index_version),
    )


def _attached(index_version: IndexVersion) -> AttachedIndex | None:
    """Return the declaration of today, at the index that this version was made in."""
    index = index_version.schema.get("attached")
    if index is None:
        return None
    declared = None
    with suppress(NotFound):  # the document may be gone while its versions are dropped
        declared = registry.get(index_version.document).attached
    return replace(declared or AttachedIndex(index), index=index)


def engine_of(index_version: IndexVersion) -> SearchBackend:
    """Return the engine that knows the index of this version by its name."""
    return attached_engine_of(index_version) or get_backend()


def attached_engine_of(index_version: IndexVersion) -> AttachedBackend | None:
    """Return the engine of a site's own index; None: the version has an index of its own."""
    if index_version.schema.get("attached") is None:
        return None
    return get_backend().attached(schema_of(index_version))


PART = "engine"
"""What it is called where it fails."""


@contextmanager
def asking(index_version: IndexVersion) -> Iterator[SearchBackend]:
    """Have the engine asked within it while a visitor waits.

    Whatever it fails with is a BackendUnavailable, beside errors of ours, which the health check tells of.
    """
    engine = engine_of(index_version)
    try:
        yield engine
    except BackendUnavailable as error:
        site_code.failed(PART, error)
        raise
    except IndexConflict as error:
        site_code.failed(PART, error)
        raise IndexDamaged(str(error)) from error
    except LlmrecError:
        raise
    except Exception as error:
        site_code.failed(PART, error)
        raise BackendUnavailable(f"The engine failed with {type(error).__name__}.") from error
    site_code.worked(PART)


def fault_of(index_version: IndexVersion) -> IndexDamaged | NotFound | None:
    """Return what is wrong with an index itself: it is gone, or cannot be read; None: nothing is.

    Raises BackendUnavailable, and what else the engine fails with as a whole.
    """
    try:
        engine_of(index_version).verify(index_version.name)
    except (NotFound, IndexDamaged) as error:
        return error
    except IndexConflict as error:
        return IndexDamaged(str(error))
    return None
