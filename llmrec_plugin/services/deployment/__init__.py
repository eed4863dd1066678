"""Which index and model answer for a document, and how that changes."""
