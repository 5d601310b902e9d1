"""Whole networks by name, and how their weights start."""
