"""The use cases: the only place where state, adapters and the pure core meet."""
