"""All tables of the app, one module per aggregate."""

from llmrec_plugin.models.configuration import Configuration
from llmrec_plugin.models.configuration_changes import ConfigurationChange
from llmrec_plugin.models.consent import Consent, Erasure
from llmrec_plugin.models.embeddings import Embedding, UserChange, UserEmbedding
from llmrec_plugin.models.encoders import TunedEncoder
from llmrec_plugin.models.evaluations import Evaluation
from llmrec_plugin.models.experiments import Arm, ArmAssignment, Experiment
from llmrec_plugin.models.exploring import Exploration
from llmrec_plugin.models.imported_items import ImportedItem
from llmrec_plugin.models.impressions import Impression
from llmrec_plugin.models.interaction_sources import SourceChange
from llmrec_plugin.models.interactions import Interaction
from llmrec_plugin.models.judgments import Judgment, SearchQuality
from llmrec_plugin.models.learning import DriftReport, SearchWeightRun, TrainingRun
from llmrec_plugin.models.outbox import IndexBatch, Lease, OutboxEntry
from llmrec_plugin.models.placements import Placement
from llmrec_plugin.models.queries import PopularQuery
from llmrec_plugin.models.rules import Rule
from llmrec_plugin.models.statistics import DailyLists, Dashboard
from llmrec_plugin.models.synonyms import Synonym, SynonymSuggestion
from llmrec_plugin.models.versions import (
    Deployment,
    Dictionary,
    IndexVersion,
    ModelArtefact,
    ModelVersion,
    Status,
)

__all__ = [
    "Arm",
    "ArmAssignment",
    "Configuration",
    "ConfigurationChange",
    "Consent",
    "DailyLists",
    "Dashboard",
    "Deployment",
    "Dictionary",
    "DriftReport",
    "Embedding",
    "Erasure",
    "Evaluation",
    "Experiment",
    "Exploration",
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
    "Placement",
    "PopularQuery",
    "Rule",
    "SearchQuality",
    "SearchWeightRun",
    "SourceChange",
    "Status",
    "Synonym",
    "SynonymSuggestion",
    "TrainingRun",
    "TunedEncoder",
    "UserChange",
    "UserEmbedding",
]
