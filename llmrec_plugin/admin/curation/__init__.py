"""Pages where editors decide: rules, placements, synonyms, weights."""
