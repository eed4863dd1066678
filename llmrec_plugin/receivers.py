"""From the site's saves to the backlog, and from the backlog to whoever drains it.

Connected once at start-up, to the models that are registered and no others. Nothing here reads an item
or calls an engine, and nothing that fails later can fail a save.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import ManyToManyField, Model, signals

from llmrec_plugin.conf import get_settings
from llmrec_plugin.documents import InteractionSource, SearchDocument, UserDocument, registry
from llmrec_plugin.documents.paths import FieldPath, Hop
from llmrec_plugin.exceptions import DocumentError
from llmrec_plugin.logs import origin
from llmrec_plugin.services import indexing, interactions, outbox, people, profiles, wakeups

logger = logging.getLogger("llmrec_plugin.receivers")

DISPATCH_DELAY = 0.5
"""Seconds that a task waits for further changes: no second one is sent until it begins."""
BROKER_TIMEOUT = 0.5
BROKER_PAUSE = 30.0
"""Seconds without an attempt after the broker did not answer; what waits is left to the schedule."""


def connect() -> None:
    """Follow every registered model; may be called again after a registration."""
    for document in registry:
        _follow_document(document)
    for source in registry.interaction_sources:
        follower = SourceFollower(source)
        for model in _family(source.model):
            _connect(signals.post_save, follower.on_save, model, f"source:{source.label}")
            _connect(signals.post_delete, follower.on_delete, model, f"source:{source.label}")
    for user_document in registry.user_documents:
        handler = PeopleFollower(user_document).on_change
        for model in _family(user_document.model):
            for name in ("post_save", "post_delete"):
                _connect(getattr(signals, name), handler, model, f"people:{name}")
    people.acted.connect(follow_events, dispatch_uid="llmrec_plugin.follow_events")
    people.changed.connect(dispatch_people, dispatch_uid="llmrec_plugin.dispatch_people")
    outbox.marked.connect(dispatch, dispatch_uid="llmrec_plugin.dispatch")


def _follow_document(document: SearchDocument[Any]) -> None:
    try:
        ways = document.followed()
    except DocumentError:  # the system checks report it
        ways = []
    others = [way.model for way in ways]
    throughs = {_through(hop) for way in ways for hop in way.path.hops if _is_m2m(hop)}
    for followed in [document.model, *document.model._meta.get_parent_list(), *others]:
        for model in _family(followed):
            _connect(signals.pre_save, before_save, model)
            _connect(signals.post_save, after_save, model)
            _connect(signals.pre_delete, before_delete, model)
            _connect(signals.post_delete, after_delete, model)
    for through in throughs:
        _connect(signals.m2m_changed, membership_changed, through)
        if not through._meta.auto_created:
            _connect(signals.post_save, link_changed, through)
            _connect(signals.post_delete, link_changed, through)


def _connect(signal: Any, handler: Callable[..., None], model: type[Model], prefix: str = "") -> None:
    uid = f"llmrec_plugin:{prefix}:{handler.__name__}:{model._meta.label_lower}"
    signal.connect(handler, sender=model, dispatch_uid=uid, weak=False)


def _family(model: type[Model]) -> list[type[Model]]:
    """The model with its proxies and children: each sends its signals under its own name."""
    concrete = model._meta.concrete_model or model
    return [known for known in apps.get_models(include_auto_created=True) if issubclass(known, concrete)]


def before_save(sender: type[Model], *, instance: Model, raw: bool, using: str, **kwargs: object) -> None:
    """A row that names its item may be about to move to another: the former one changes, too."""
    if raw or instance._state.adding or instance.pk is None:
        return
    for route in outbox.routes_from(sender):
        if route.moves:
            _mark_affected(route, instance.pk, using)


def after_save(sender: type[Model], *, instance: Model, created: bool, using: str, **kwargs: object) -> None:
    """A related object that is new is part of no item yet, unless it names the item itself."""
    routes = [
        route
        for route in outbox.routes_from(sender)
        if not route.via or route.moves or not (created or route.keys_only)
    ]
    outbox.append((route.entry(instance.pk) for route in routes), using=using)


def before_delete(sender: type[Model], *, instance: Model, using: str, **kwargs: object) -> None:
    """Once a related object is gone, nothing tells any more which items it was part of."""
    for route in outbox.routes_from(sender):
        if route.via:
            _mark_affected(route, instance.pk, using)


def after_delete(sender: type[Model], *, instance: Model, using: str, **kwargs: object) -> None:
    own = [route for route in outbox.routes_from(sender) if not route.via]
    outbox.append((route.entry(instance.pk) for route in own), using=using)


def _mark_affected(route: outbox.Route, pk: object, using: str) -> None:
    item = outbox.Route(route.label)
    keys = outbox.affected_keys(route.label, route.via, pk, using=using)
    outbox.append((item.entry(key) for key in keys), using=using)


def membership_changed(
    sender: type[Model],
    *,
    instance: Model,
    action: str,
    reverse: bool,
    pk_set: set[Any] | None,
    using: str,
    **kwargs: object,
) -> None:
    """`item.categories.add(…)`, or the same from the other side."""
    for document, path, hop in _crossings(sender):
        itself = _is_forward(hop) is not reverse  # the instance is on the items' side of this hop
        owners: Iterable[object] = ()
        if action in ("post_add", "post_remove"):
            owners = [instance.pk] if itself else pk_set or ()
        elif action == "post_clear" and itself:
            owners = [instance.pk]
        elif action == "pre_clear" and not itself:
            linked = hop.model._base_manager.using(using).filter(**{f"{hop.field.name}__pk": instance.pk})
            owners = linked.values_list("pk", flat=True)
        _mark_owners(document, path, hop, owners, using)


def link_changed(sender: type[Model], *, instance: Model, using: str, **kwargs: object) -> None:
    """A row of the site's own "through" model, saved or deleted by itself."""
    for document, path, hop in _crossings(sender):
        name = hop.field.m2m_field_name() if _is_forward(hop) else hop.field.field.m2m_reverse_field_name()
        owner = instance.serializable_value(name)
        _mark_owners(document, path, hop, [owner] if owner is not None else [], using)


def _crossings(through: type[Model]) -> Iterator[tuple[SearchDocument[Any], FieldPath, Hop]]:
    """Where documents cross that many-to-many relation; each way once."""
    for document in registry:
        with suppress(DocumentError):  # as above
            for way in document.followed():
                hop = way.path.hops[-1]
                if _is_m2m(hop) and _through(hop) is through:
                    yield document, way.path, hop


def _mark_owners(
    document: SearchDocument[Any], path: FieldPath, hop: Hop, owners: Iterable[object], using: str
) -> None:
    route = outbox.Route(document.label, path.lookup_before(hop))
    outbox.append((route.entry(owner) for owner in owners), using=using)


def _is_m2m(hop: Hop) -> bool:
    return bool(hop.field.many_to_many)


def _is_forward(hop: Hop) -> bool:
    return isinstance(hop.field, ManyToManyField)


def _through(hop: Hop) -> type[Model]:
    through: type[Model] = hop.field.remote_field.through if _is_forward(hop) else hop.field.through
    return through


class SourceFollower:
    """Keeps the events of one source equal to its rows: once per transaction, for all of its rows."""

    def __init__(self, source: InteractionSource[Any]) -> None:
        self.source = source
        self._waiting = threading.local()
        self._callbacks: dict[str, Callable[[], None]] = {}

    def on_save(
        self, sender: type[Model], *, instance: Model, raw: bool, using: str, **kwargs: object
    ) -> None:
        """Rows of a fixture are left to the backfill: what they refer to may not be loaded yet."""
        if not raw:
            self._remember(instance.pk, using)

    def on_delete(self, sender: type[Model], *, instance: Model, using: str, **kwargs: object) -> None:
        self._remember(instance.pk, using)

    def _remember(self, pk: object, using: str) -> None:
        keys: dict[object, None] = self._waiting.__dict__.setdefault(using, {})
        keys[pk] = None
        callback = self._callbacks.setdefault(using, lambda: self._follow(using))
        waiting = transaction.get_connection(using).run_on_commit
        if not any(known[1] is callback for known in waiting):
            transaction.on_commit(callback, using=using, robust=True)

    def _follow(self, using: str) -> None:
        """Reads the rows as they are now, so it does no harm to look at one that was rolled back."""
        keys = list(self._waiting.__dict__.pop(using, {}))
        if keys and self.source in registry.interaction_sources:
            interactions.follow(self.source, keys)


class PeopleFollower:
    """Marks the user whose row was saved or deleted. What it shows of related rows is read at the next
    request: a text that no worker has encoded yet is encoded there."""

    def __init__(self, document: UserDocument[Any]) -> None:
        self.document = document

    def on_change(self, sender: type[Model], *, instance: Model, **kwargs: object) -> None:
        try:
            key = self.document.get_user_key(instance)
        except Exception as error:  # the site's own code must not fail its save here
            logger.warning("a user is not followed error=%s", type(error).__name__)
            return
        people.mark([key])


def follow_events(*, user_keys: list[str], **kwargs: object) -> None:
    """Where workers cache tastes ahead; without them the next request does it for itself."""
    if get_settings().tasks_run_in == "celery":
        people.mark(user_keys)


def dispatch_people(**kwargs: object) -> None:
    """Have users refreshed, where LLMREC["TASKS"] says."""
    place = get_settings().tasks_run_in
    if place == "process":
        try:
            profiles.refresh()
        except Exception as error:  # the mark waits, and a request can do without
            logger.error("refreshing users failed error=%s at=%s", type(error).__name__, origin(error))
    elif place == "celery":
        from llmrec_plugin.celery_tasks import refresh_profiles

        _send(refresh_profiles)


def dispatch(**kwargs: object) -> None:
    """Have the backlog drained, where LLMREC["TASKS"] says."""
    place = get_settings().tasks_run_in
    if place == "process":
        _drain_here()
    elif place == "celery":
        from llmrec_plugin.celery_tasks import drain_outbox

        _send(drain_outbox)


_here = threading.local()


def _drain_here() -> None:
    if getattr(_here, "draining", False):  # a save from within `prepare`
        return
    _here.draining = True
    try:
        indexing.drain()
    except Exception as error:  # the change is saved and waits in the backlog
        logger.error("draining failed error=%s at=%s", type(error).__name__, origin(error))
    finally:
        _here.draining = False


class _Pause:
    """Until when this process sends no task, since the broker does not answer."""

    def __init__(self) -> None:
        self._until = 0.0

    def begin(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def is_on(self) -> bool:
        return time.monotonic() < self._until

    def end(self) -> None:
        self._until = 0.0


pause = _Pause()


def _send(task: Any) -> None:
    """One task for all changes until it begins; a broker that is down costs a moment, once in a while."""
    if pause.is_on() or not wakeups.claim(task.name, countdown=DISPATCH_DELAY):
        return
    from celery import current_app

    options = {
        **current_app.conf.broker_transport_options,
        "max_retries": 0,
        "socket_connect_timeout": BROKER_TIMEOUT,
        "socket_timeout": BROKER_TIMEOUT,
    }
    try:
        with current_app.connection_for_write(
            connect_timeout=BROKER_TIMEOUT, transport_options=options
        ) as broker:
            task.apply_async(countdown=DISPATCH_DELAY, retry=False, connection=broker)
    except Exception as error:  # whatever the transport raises: the backlog is drained by the schedule
        pause.begin(BROKER_PAUSE)
        wakeups.begun(task.name)
        logger.warning("broker does not answer error=%s", type(error).__name__)
