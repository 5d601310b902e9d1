"""Nodes of a search: what they have decided, which are open, and how a leaf is closed."""
