"""Proven intervals for the induced norms of the operators in front of spiking layers."""

from .held import matrix_norm
from .operator_norms import operator_norm

__all__ = ["matrix_norm", "operator_norm"]
