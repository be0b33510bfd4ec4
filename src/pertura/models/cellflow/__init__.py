"""CellFlow: flow matching from control to perturbed cells."""
