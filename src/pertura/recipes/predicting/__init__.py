"""Predictions for people: a fitted or published model asked about somebody's control cells."""
