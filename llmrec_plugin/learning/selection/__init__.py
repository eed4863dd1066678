"""Says which scorers, settings and weights win on events that were held back."""
