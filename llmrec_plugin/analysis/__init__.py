"""From what a site stores to what an index holds: plain text, folded text, terms and highlights.

`text` makes plain and folded text, `han` and `words` know how scripts divide into terms, `languages`
what the site speaks, `tokens` joins them into one analysis for index and query, `highlight` shows it.
"""

from llmrec_plugin.analysis.text import html_to_text

__all__ = ["html_to_text"]
