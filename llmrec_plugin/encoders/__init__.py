"""Text encoders: how text becomes unit vectors, one module per kind of encoder; and rerankers.

An encoder of a site's own is a module with `build(spec) -> Encoder`, and LLMREC["ENCODER"] is its dotted
path; a reranker is one with `build(spec) -> Reranker`, named by LLMREC["RERANK"]["model"].
"""

from llmrec_plugin.encoders.base import Encoder, EncoderSpec, load_encoder
from llmrec_plugin.encoders.identity import encoder_id
from llmrec_plugin.encoders.reranking import Reranker, Scores

__all__ = ["Encoder", "EncoderSpec", "Reranker", "Scores", "encoder_id", "load_encoder"]
