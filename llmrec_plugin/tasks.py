"""Where Celery's workers look for tasks; queues of other kinds look here, too, and find nothing."""

from __future__ import annotations

from llmrec_plugin import extras

if extras.is_installed("celery"):
    from llmrec_plugin import celery_tasks  # noqa: F401  (registers them)
