"""Sums with noise, and what a run of them costs."""
