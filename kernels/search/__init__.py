"""Kernels in C of what "complete" searches with: climbs, ranges of first layers, what splits would decide."""
