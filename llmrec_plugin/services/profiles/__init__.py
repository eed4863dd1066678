"""What is known of one user: history, declared interests, and the vector they add up to."""
