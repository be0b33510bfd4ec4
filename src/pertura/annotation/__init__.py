"""Cell types: strategies, their honest comparison, and what a label can be trusted for."""
