"""The bilingual school: courses, learners, and what of them can be searched."""
