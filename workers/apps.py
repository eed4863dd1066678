"""Makes the Celery app of this project the one that web processes send their tasks to."""

from __future__ import annotations

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"

    def ready(self) -> None:
        from workers.celery import app

        app.set_default()
