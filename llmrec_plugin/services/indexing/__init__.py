"""What a site calls to keep its indexes equal to its tables.

    from llmrec_plugin.services import indexing
    Product.objects.filter(brand=brand).update(price=0)
    indexing.mark(Product.objects.filter(brand=brand))

The work is in the modules beside this one.
"""

from llmrec_plugin.services.indexing.attached_index import attached_fields
from llmrec_plugin.services.indexing.index_audit import AuditReport, audit
from llmrec_plugin.services.indexing.index_build import BuildReport, build
from llmrec_plugin.services.indexing.marks import mark, mark_keys
from llmrec_plugin.services.indexing.outbox_drain import DrainReport, drain

__all__ = [
    "AuditReport",
    "BuildReport",
    "DrainReport",
    "attached_fields",
    "audit",
    "build",
    "drain",
    "mark",
    "mark_keys",
]
