"""Holds what scores the items of a catalogue: neighbours, popularity, words, and the head over texts."""
