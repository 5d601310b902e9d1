"""Trains over hundreds of steps: windows by one walk back from each end, and labels that are joined when old."""
