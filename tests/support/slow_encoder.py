"""The hashing encoder, in memory only once `ready` is set."""

from __future__ import annotations

from threading import Event

from llmrec_plugin.encoders import hashing
from llmrec_plugin.encoders.base import Encoder, EncoderSpec
from llmrec_plugin.exceptions import EncoderUnavailable

ready = Event()
broken = Event()


def build(spec: EncoderSpec) -> Encoder:
    ready.wait(timeout=20)
    if broken.is_set():
        raise EncoderUnavailable("The model cannot be had.")
    return hashing.build(EncoderSpec(name=spec.name, options={"dimensions": 32}))
