"""Which perturbation to try next: goals, candidates, rankings with trust, back-tests, batches and power."""
