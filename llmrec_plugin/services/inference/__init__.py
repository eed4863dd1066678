"""Runs the loaded models: texts to vectors, query and passage to a score."""
