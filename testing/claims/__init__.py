"""Pairs of near inputs, networks that spike at them, and counterexamples as code."""
