"""The visitor's pages, and the commands that fill and show the demo."""
