"""Locks, caches and one-message-at-a-time: what lets processes work side by side."""
