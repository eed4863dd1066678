"""Keeps what trainings produced: stored, loaded, exchanged and thrown away."""
