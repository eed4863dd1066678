"""Who sees which arm, how experiments begin and end, and what they show."""
