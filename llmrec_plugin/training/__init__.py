"""Tunes text encoders on a site's own events; runs without Django, in a process of its own."""
