"""Builds of networks for chips: whole weights, thresholds and biases, decays as the chip has them."""

from .comparing import BuildComparison
from .quantizing import Quantization, quantization, quantize, whole_inputs
from .targets import TARGETS, BuiltLayer, ChipTarget, target_of

__all__ = [
    "TARGETS",
    "BuildComparison",
    "BuiltLayer",
    "ChipTarget",
    "Quantization",
    "quantization",
    "quantize",
    "target_of",
    "whole_inputs",
]
