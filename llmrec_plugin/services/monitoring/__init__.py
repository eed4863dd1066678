"""Status, health and metrics."""
