"""What the site's rows look like to search: prepared documents, filters, and which rows pass."""
