"""The frozen values that travel between layers; no behaviour beyond validation and hashing."""

from llmrec_plugin.types.contributions import ContributionCode
from llmrec_plugin.types.documents import (
    AttachedIndex,
    Failure,
    FilterKind,
    FilterValue,
    IndexedItem,
    IndexSchema,
    Matrix,
    PreparedItem,
    Progress,
    Removal,
    Scalar,
    Seen,
    Vector,
    WriteReport,
)
from llmrec_plugin.types.engine import EngineQuery, EngineResult, Hit, Phrase, Spelled, TextQuery
from llmrec_plugin.types.filters import Filter, Range, Terms
from llmrec_plugin.types.results import (
    ANONYMOUS,
    Event,
    PastItem,
    RankedItem,
    ResultItem,
    ResultPage,
    SearchRequest,
)

__all__ = [
    "ANONYMOUS",
    "AttachedIndex",
    "ContributionCode",
    "EngineQuery",
    "EngineResult",
    "Event",
    "Failure",
    "Filter",
    "FilterKind",
    "FilterValue",
    "Hit",
    "IndexSchema",
    "IndexedItem",
    "Matrix",
    "PastItem",
    "Phrase",
    "PreparedItem",
    "Progress",
    "Range",
    "RankedItem",
    "Removal",
    "ResultItem",
    "ResultPage",
    "Scalar",
    "SearchRequest",
    "Seen",
    "Spelled",
    "Terms",
    "TextQuery",
    "Vector",
    "WriteReport",
]
