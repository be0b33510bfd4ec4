"""Full named configurations, each a Python function."""
