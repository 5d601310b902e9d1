"""Exact numbers: dyadic rationals, intervals of whole numbers, sparse matrices, IEEE constants."""
