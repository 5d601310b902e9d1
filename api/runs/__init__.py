"""Runs of the command line: networks, objectives and records out of what a user typed."""
