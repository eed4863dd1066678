"""A site of its own that lives in one folder and knows what a request file says: see `settings`."""
