"""The Celery app: `celery -A workers worker`. Settings come from Django, under the prefix CELERY_."""

from __future__ import annotations

import os

from celery import Celery
from kombu import Queue

from llmrec_plugin.schedule import beat_schedule, task_routes

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
app = Celery("llmrec")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_default_queue = "default"
app.conf.task_queues = tuple(Queue(name) for name in ("index", "train", "default"))
app.conf.task_routes = task_routes()
app.conf.beat_schedule = beat_schedule()
app.conf.worker_consumer = "workers.consumer:LastingConsumer"
app.autodiscover_tasks()
