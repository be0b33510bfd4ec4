"""Which perturbation to run next: goals, candidates, rankings, and whether they would have worked."""
