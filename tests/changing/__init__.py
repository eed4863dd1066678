"""A site whose encoder, fields and dictionary change while it serves: see tests/flows/changes.py."""
