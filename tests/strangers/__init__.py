"""A site whose models use relations of every kind, and those of django-taggit, -modelcluster and -parler."""
