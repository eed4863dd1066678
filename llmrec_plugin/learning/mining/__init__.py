"""Says what a log tells beside taste: synonyms, drift, pairs of texts, a representative few."""
