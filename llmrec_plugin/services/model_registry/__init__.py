"""What trainings produced: stored, loaded, exchanged and thrown away."""
