"""The end of a response, after which a web process does what saves left to it."""

from __future__ import annotations

from django.core.signals import request_finished
from django.db import close_old_connections

from llmrec_plugin.receivers import after_response


def respond() -> None:
    """Send what Django sends when a response is out, as its test client does, and wait for the outcome."""
    request_finished.disconnect(close_old_connections)
    try:
        request_finished.send(sender=respond)
    finally:
        request_finished.connect(close_old_connections)
    after_response.messages.wait()
    after_response.work.wait()
