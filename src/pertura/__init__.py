"""Predict what a transcriptome does when genes are perturbed, and say how far to trust it."""

__version__ = "0.1.0"
