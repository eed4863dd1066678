"""Learns from events in closed form, on record, when due; measures drift; starts from another site."""
