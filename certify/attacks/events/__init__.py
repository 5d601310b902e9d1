"""Attacks that flip and move events."""
