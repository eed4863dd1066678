"""Says what interactions teach in closed form: neighbours of items and their popularity; numpy and scipy
only."""
