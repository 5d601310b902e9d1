"""Stability analysis: perturbation dynamics, input-output gains, operator norms, certificates and theorems."""

from .gains import GainReport, LayerGain, gain
from .intervals import Interval
from .neuron_gains import constant_gain, neuron_bias, neuron_gain
from .norms import matrix_norm, operator_norm
from .operators import layer_operators
from .perturbations import Perturbation, mppd, trace_mppd

__all__ = [
    "GainReport",
    "Interval",
    "LayerGain",
    "Perturbation",
    "constant_gain",
    "gain",
    "layer_operators",
    "matrix_norm",
    "mppd",
    "neuron_bias",
    "neuron_gain",
    "operator_norm",
    "trace_mppd",
]
