"""Presets that repeat what another evaluator prints, number for number."""
