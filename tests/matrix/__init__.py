"""Tests the plugin on further pairs of Python and Django: `make matrix`."""
