"""scGPT and its relatives with gene priors (Cui et al. 2024; Istrate et al. 2024)."""
