"""The engine for sites that run Elasticsearch 8.19 or newer: one index per version, made and filled by us.

Nothing here needs a paid licence, a server plugin or a script. Texts are analysed by us and only split at
white space there, so results are those of the other engines, in every language.
"""

from llmrec_plugin import extras
from llmrec_plugin.exceptions import ConfigurationError

try:
    import elasticsearch
except ImportError as error:
    raise ConfigurationError(
        extras.missing("elasticsearch", "The Elasticsearch engine", error=error)
    ) from error

if not (8, 19) <= elasticsearch.__version__[:2] < (10, 0):
    raise ConfigurationError(
        "The Elasticsearch engine needs version 8.19 to 9 of its client, not "
        f"{'.'.join(map(str, elasticsearch.__version__))}: "
        "pip install 'elasticsearch>=8.19,<10' (a client of series 9 speaks to servers of series 9 alone)."
    )

from llmrec_plugin.backends.elasticsearch.engine import SearchBackend

__all__ = ["SearchBackend"]
