"""The gift shop: products, customers' invoices, and what of them can be searched."""
