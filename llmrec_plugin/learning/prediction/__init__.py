"""Probabilities and ratings from scores."""
