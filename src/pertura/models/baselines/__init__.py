"""Baselines: what any model has to beat. Each is one rule for the change from control."""
