"""Migrations that were released stay as they are, and what stood in a database before goes on answering."""
