"""What editors decide, remembered by each process: rules, placements, synonyms."""
