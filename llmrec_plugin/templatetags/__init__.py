"""Holds the template tags: `{% load llmrec %}`."""
