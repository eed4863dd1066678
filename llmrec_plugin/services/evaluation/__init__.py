"""Says how good lists are, on files or on a copy of the site."""
