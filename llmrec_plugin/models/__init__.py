"""All tables of the app, one module per aggregate."""

from llmrec_plugin.models.configuration import Configuration
from llmrec_plugin.models.embeddings import Embedding, UserChange, UserEmbedding
from llmrec_plugin.models.interactions import Consent, ImportedItem, Impression, Interaction, Judgment
from llmrec_plugin.models.outbox import IndexBatch, Lease, OutboxEntry
from llmrec_plugin.models.versions import Deployment, IndexVersion, ModelArtefact, ModelVersion, Status

__all__ = [
    "Configuration",
    "Consent",
    "Deployment",
    "Embedding",
    "ImportedItem",
    "Impression",
    "IndexBatch",
    "IndexVersion",
    "Interaction",
    "Judgment",
    "Lease",
    "ModelArtefact",
    "ModelVersion",
    "OutboxEntry",
    "Status",
    "UserChange",
    "UserEmbedding",
]
