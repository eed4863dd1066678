"""What people do: recorded with consent, taken over from the site's rows, read as histories."""

from llmrec_plugin.services.interactions.login_merge import merge
from llmrec_plugin.services.interactions.recording import NewInteraction, record, record_many

__all__ = ["NewInteraction", "merge", "record", "record_many"]
