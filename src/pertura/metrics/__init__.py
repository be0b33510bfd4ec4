"""Arrays in, numbers out: the mathematics of every score."""
