"""Which pair this process answers with: the newest whose encoder it has in memory.

After the promotion of an index with a new encoder, a request does not wait for that model: the former
index, which is kept up to date for its grace time, answers until the model is loaded in the background.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from threading import Lock, Thread

from django.db import DatabaseError, connections

from llmrec_plugin.analysis import tokens
from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import registry
from llmrec_plugin.exceptions import ConfigurationError, NotBuilt
from llmrec_plugin.models import IndexVersion
from llmrec_plugin.services.coordination import site_code
from llmrec_plugin.services.deployment import dictionaries
from llmrec_plugin.services.deployment.live import LivePair, live_pair
from llmrec_plugin.services.inference import reranking
from llmrec_plugin.services.inference.encoders import encoder_of
from llmrec_plugin.services.serving.request_snapshot import current_snapshot

logger = logging.getLogger(__name__)

WARM_UP = "warm-up 预热"


class _Memory:
    """Holds what this process has loaded, and is loading; a forked child starts anew, as its encoders do."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.lock = Lock()
        self.loaded: set[str] = set()
        """Identities of encoders that have encoded a query here."""
        self.loading: set[str] = set()
        self.answered: dict[str, LivePair] = {}
        """By label, the pair that last encoded a query here."""


_memory = _Memory()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_memory.clear)


def warm_up() -> None:
    """Load the encoders of all live indexes in the background; for the start of a web process.

    To be called in each serving process, after any fork; see the wsgi.py of the demo site. Does nothing
    where there is no database yet.
    """
    versions: dict[str, IndexVersion] = {}
    if not get_settings().ENABLED:
        return
    reranking.warm_up()
    try:
        for document in registry:
            with suppress(NotBuilt):
                version = live_pair(document.label).index_version
                versions[version.encoder_id] = version
                dictionaries.words_of(version)
    except DatabaseError as error:
        logger.warning("no encoder is loaded ahead error=%s", type(error).__name__)
    finally:
        connections.close_all()  # a server that forks after this must not share it
    for version in versions.values():
        _load(version)


def serving_pair(label: str) -> LivePair:
    """Return the pair to answer with now; one short query, or two while a new encoder is being loaded.

    Raises what `live_pair` raises.
    """
    return answering(current_snapshot(label).pair)


def answering(newest: LivePair) -> LivePair:
    """Return the live pair, or the one before it while this process loads its encoder; a query only then."""
    former = _memory.answered.get(newest.index_version.document)
    if former is None or newest.index_version.encoder_id in _memory.loaded or not _still_kept(former, newest):
        return newest
    _load(newest.index_version)
    return former


def is_loaded(version: IndexVersion) -> bool:
    """Return whether the encoder of this index is in memory; if not, it is loaded in the background from now
    on."""
    if version.encoder_id in _memory.loaded:
        return True
    _load(version)
    return False


def has_encoded(pair: LivePair) -> None:
    """Note that the encoder of this pair is in memory and works."""
    _memory.loaded.add(pair.index_version.encoder_id)
    _memory.answered[pair.index_version.document] = pair


def _still_kept(former: LivePair, newest: LivePair) -> bool:
    version = former.index_version
    return (
        version.pk != newest.index_version.pk
        and IndexVersion.objects.filter(
            pk=version.pk, name=version.name, state=IndexVersion.State.READY
        ).exists()
    )


def _load(version: IndexVersion) -> None:
    with _memory.lock:
        if version.encoder_id in _memory.loading:
            return
        _memory.loading.add(version.encoder_id)
    words = dictionaries.words_of(version)
    Thread(target=_warm_up, args=(version, words), name="llmrec-encoder", daemon=True).start()


def _warm_up(version: IndexVersion, words: str | None) -> None:
    """Load an encoder; touches no database, only the row that was read already, and its dictionary."""
    with suppress(ConfigurationError), tokens.cut_by(words):
        tokens.query_words(WARM_UP)  # Chinese ones take a second the first time
    try:
        encoder_of(version).encode_query([WARM_UP])
        _memory.loaded.add(version.encoder_id)
        logger.info("encoder loaded document=%s index=%s", version.document, version.name)
    except Exception as error:
        logger.error(
            "encoder unusable, the former index goes on answering document=%s index=%s error=%s",
            version.document,
            version.name,
            site_code.described(error),
        )
    finally:
        _memory.loading.discard(version.encoder_id)
