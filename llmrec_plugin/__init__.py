"""Personalised search and recommendations for Django sites, by transfer learning from language models."""

__version__ = "0.1.0.dev0"
