"""The tasks that a save asks for, as tasks of Django; before 6.0 the package django-tasks has them.

Any backend of settings.TASKS will do, on its queue "default". They know no schedule: what Celery's beat sends
is left to cron and the commands of `manage.py llmrec`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmrec_plugin import extras
from llmrec_plugin.exceptions import ConfigurationError
from llmrec_plugin.services import indexing
from llmrec_plugin.services.coordination import task_debounce
from llmrec_plugin.services.deployment import retirement
from llmrec_plugin.services.indexing import outbox
from llmrec_plugin.services.interactions import site_sources, source_changes
from llmrec_plugin.services.privacy import derived_data
from llmrec_plugin.services.profiles import refresh

if TYPE_CHECKING:
    from collections.abc import Callable

    def task() -> Callable[[Callable[[], None]], Any]: ...

else:
    try:
        from django.tasks import task
    except ImportError:
        try:
            from django_tasks import task
        except ImportError as error:
            raise ConfigurationError(
                extras.missing("django-tasks", 'LLMREC["TASKS"] = "django"', error=error)
            ) from error

TURN = 20.0
"""Seconds after which work that never ends on a busy site lets other tasks have their turn."""


def enqueue(name: str) -> None:
    """Have the task of that name done, unless it waits already; raises what the backend does."""
    wanted = {
        "drain_outbox": drain_outbox,
        "follow_sources": follow_sources,
        "refresh_profiles": refresh_profiles,
    }[name]
    if not task_debounce.reserve(f"django.{name}"):
        return
    try:
        wanted.enqueue()
    except Exception:
        task_debounce.started(f"django.{name}")
        raise


def works_at_once() -> bool:
    """Whether the backend does a task within the call that enqueues it; raises what the backend does."""
    return type(drain_outbox.get_backend()).__name__ == "ImmediateBackend"


@task()
def drain_outbox() -> None:
    """Index what changed; once an hour, also drop what was replaced long ago."""
    task_debounce.started("django.drain_outbox")
    indexing.drain(seconds=TURN)
    if outbox.has_due():
        enqueue("drain_outbox")
    retirement.sweep_if_due()


@task()
def follow_sources() -> None:
    """Make events equal to the rows of the site that tell them, where those changed."""
    task_debounce.started("django.follow_sources")
    site_sources.drain(seconds=TURN)
    if source_changes.due().exists():
        enqueue("follow_sources")


@task()
def refresh_profiles() -> None:
    """Encode what users say about themselves, and cache the tastes of those who did something."""
    task_debounce.started("django.refresh_profiles")
    refresh.refresh(seconds=TURN)
    if derived_data.are_marked():
        enqueue("refresh_profiles")
