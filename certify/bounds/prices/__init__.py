"""Margins by prices on the currents between layers (F3, F6), and the search for good ones."""
