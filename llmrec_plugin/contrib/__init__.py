"""Helpers for packages that a site may use beside this one; nothing here is imported unless the site does."""
