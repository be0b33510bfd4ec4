"""From a fitted model to cells."""
