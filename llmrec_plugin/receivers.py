"""Signals of the site's models become backlog entries; connected once at start-up."""

from __future__ import annotations


def connect() -> None:
    """Follow every registered model."""
