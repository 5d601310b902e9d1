"""Proven intervals for the induced norms of the operators in front of spiking layers."""

from .operator_norms import matrix_norm, operator_norm

__all__ = ["matrix_norm", "operator_norm"]
