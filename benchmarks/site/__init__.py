"""The throw-away site that the benchmarks run in."""
