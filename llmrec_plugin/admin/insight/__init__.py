"""Pages that tell how good it is: dashboard, explorer, evaluations, experiments, judgements."""
