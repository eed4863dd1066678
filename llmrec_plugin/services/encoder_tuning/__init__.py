"""Tunes the encoder, and takes it over only if it is better."""
