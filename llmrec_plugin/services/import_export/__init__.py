"""Items, events and judgements from and to files."""
