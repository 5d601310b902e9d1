"""Builds of networks for chips: whole weights, thresholds and biases, decays as the chip has them."""

from .lava_files import from_lava
from .targets import TARGETS, BuiltLayer, ChipTarget, target_of
from .through import BuildComparison, ChipWeights, Quantization, quantization, quantize, whole_inputs
from .xylo_files import from_xylo

__all__ = [
    "TARGETS",
    "BuildComparison",
    "BuiltLayer",
    "ChipTarget",
    "ChipWeights",
    "Quantization",
    "from_lava",
    "from_xylo",
    "quantization",
    "quantize",
    "target_of",
    "whole_inputs",
]
