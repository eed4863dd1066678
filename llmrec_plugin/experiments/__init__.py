"""Experiments as arithmetic: who sees which arm, how two lists become one, and what the outcome proves."""
