"""Dashboard, daily statistics and charts."""
