"""From a screen as it came to a file that models can be fitted on: one scale, one panel, and an account of both."""
