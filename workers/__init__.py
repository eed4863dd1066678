"""The deployable around the tasks: the Celery app, wiring only."""
