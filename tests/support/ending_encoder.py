"""An encoder that takes its process down, as one that runs out of memory does."""

from __future__ import annotations

import os

from llmrec_plugin.encoders.base import Encoder, EncoderSpec


def build(spec: EncoderSpec) -> Encoder:
    os._exit(3)
