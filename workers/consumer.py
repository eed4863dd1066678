"""A consumer that survives the loss of Redis while tasks run.

When the connection breaks, Celery 5.7 gives unfinished messages back, and acknowledges them once they are
done, over the very connection that it has just discarded; the worker ends with an AttributeError. Neither is
needed: Redis hands such a message out again after its visibility timeout, and to repeat a task does no harm.
"""

from __future__ import annotations

from typing import Any

from celery.worker.consumer import Consumer
from celery.worker.state import active_requests, reserved_requests


class LastingConsumer(Consumer):
    def on_connection_error_after_connected(self, exc: Exception) -> None:
        transport: Any = getattr(self.connection, "_transport", None)
        for channel in getattr(transport, "channels", None) or ():
            channel.do_restore = False
        for request in {*active_requests, *reserved_requests}:
            request.acknowledged = True
        super().on_connection_error_after_connected(exc)
