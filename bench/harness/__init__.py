"""Parts of the comparison: who runs (rivals), how one figure is taken (measure), what it means (report)."""
