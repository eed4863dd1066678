"""What search and recommendations share when they answer."""

from llmrec_plugin.services.serving.encoder_loading import warm_up

__all__ = ["warm_up"]
