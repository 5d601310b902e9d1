"""Bounds that training can differentiate: boxes, counts, windows, budgets of events."""
