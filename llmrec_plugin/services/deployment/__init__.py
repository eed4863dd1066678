"""Keeps which index and model answer for a document, and changes it."""
