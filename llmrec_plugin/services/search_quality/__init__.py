"""Judgements and clicks: how good search is, and which weights and synonyms they prove."""
