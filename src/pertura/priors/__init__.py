"""What is known about genes before any cell is measured."""
