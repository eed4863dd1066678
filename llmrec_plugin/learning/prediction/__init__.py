"""Makes probabilities and ratings from scores."""
