"""Neurons that rest for some steps behind each spike."""
