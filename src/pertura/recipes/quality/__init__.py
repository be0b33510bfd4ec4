"""What each perturbation and guide of a screen did, and how much of that is its guide, its depth or the cell cycle."""
