"""Screens for the next perturbation: reading runs, ranking in blocks, back-tests, files and the page."""
