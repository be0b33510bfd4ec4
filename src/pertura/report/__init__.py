"""HTML pieces, plots, tables and cards; knows no model and no metric."""
