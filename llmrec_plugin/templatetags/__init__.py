"""Template tags: `{% load llmrec %}`."""
