"""Probabilistic certificates."""
