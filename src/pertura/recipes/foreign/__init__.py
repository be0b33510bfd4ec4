"""Predictions of any model, judged like our own."""
