"""Builds of networks for chips: whole weights, thresholds and biases, decays as the chip has them."""

from .comparing import Comparison
from .quantizing import Quantization, quantization, quantize, whole_inputs
from .targets import TARGETS, BuiltLayer, Target, target_of

__all__ = [
    "TARGETS",
    "BuiltLayer",
    "Comparison",
    "Quantization",
    "Target",
    "quantization",
    "quantize",
    "target_of",
    "whole_inputs",
]
