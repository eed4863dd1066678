"""Learns what clicks say once the place that was clicked is taken into account."""
