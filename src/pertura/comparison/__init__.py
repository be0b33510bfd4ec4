"""Runs side by side, with paired differences."""
