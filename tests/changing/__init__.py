"""A site whose encoder, fields and dictionary change while it serves: see tests/support/changes.py."""
