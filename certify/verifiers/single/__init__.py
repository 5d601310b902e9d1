"""Verifiers of moves of one event."""
