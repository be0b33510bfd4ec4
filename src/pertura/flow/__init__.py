"""Paths, couplings and integration of flow matching."""
