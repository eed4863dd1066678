"""How good the lists of a document are: measured on files or on a copy of the site's rows, never on them."""
