"""Files to cells and back: reading, checking, data sets, splits, prediction files."""
