"""How cost grows with each size: measured, fitted, drawn."""
