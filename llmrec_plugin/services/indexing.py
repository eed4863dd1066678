"""What a site calls to keep its indexes equal to its tables.

    from llmrec_plugin.services import indexing
    Product.objects.filter(brand=brand).update(price=0)
    indexing.mark(Product.objects.filter(brand=brand))

The work is in the neighbours: outbox (the backlog), drain, build, audit, refill and carrying.
"""

from llmrec_plugin.services.audit import AuditReport, audit
from llmrec_plugin.services.build import BuildReport, Estimate, build, estimate
from llmrec_plugin.services.carrying import carried
from llmrec_plugin.services.drain import DrainReport, drain
from llmrec_plugin.services.outbox import mark, mark_keys, marked, retry
from llmrec_plugin.services.refill import RefillReport, refill_lost
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
