"""Vectors and words in an index that the site owns and fills itself."""
