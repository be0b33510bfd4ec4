"""From what instruments and their first programs leave to one .h5ad that reads by itself."""
