"""What a site calls to keep its indexes equal to its tables.

    from llmrec_plugin.services import indexing
    Product.objects.filter(brand=brand).update(price=0)
    indexing.mark(Product.objects.filter(brand=brand))

The work is in the neighbours: outbox (the backlog), drain, build, audit, refill and carrying.
"""

from llmrec_plugin.services.indexing.attached_fields import carried
from llmrec_plugin.services.indexing.index_audit import AuditReport, audit
from llmrec_plugin.services.indexing.index_build import BuildReport, Estimate, build, estimate
from llmrec_plugin.services.indexing.outbox import mark, mark_keys, marked, retry
from llmrec_plugin.services.indexing.outbox_drain import DrainReport, drain
from llmrec_plugin.services.indexing.vector_refill import RefillReport, refill_lost
from llmrec_plugin.types import Progress

__all__ = [
    "AuditReport",
    "BuildReport",
    "DrainReport",
    "Estimate",
    "Progress",
    "RefillReport",
    "audit",
    "build",
    "carried",
    "drain",
    "estimate",
    "mark",
    "mark_keys",
    "marked",
    "refill_lost",
    "retry",
]
