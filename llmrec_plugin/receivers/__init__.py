"""From the site's saves to the backlog, and from the backlog to whoever drains it."""

from llmrec_plugin.receivers.wiring import connect

__all__ = ["connect"]
