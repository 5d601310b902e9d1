"""Gains, norms and threshold margins that gradients pass through: estimates for training, never proofs.

`analysis.gain` proves; these follow it closely and cheaply. An ℓ2 norm of a layer is a power iteration's quotient,
which is a *lower* end of the norm; all else is exact to rounding where `rows` and `norms` say so.
"""

from .margins import (
    LayerEstimate,
    amplification,
    constant_response,
    end_to_end,
    layer_estimates,
    layer_margins,
    neuron_gain,
    response,
)
from .norms import NORM_PAIRS, operator_norm, row_norms

__all__ = [
    "NORM_PAIRS",
    "LayerEstimate",
    "amplification",
    "constant_response",
    "end_to_end",
    "layer_estimates",
    "layer_margins",
    "neuron_gain",
    "operator_norm",
    "response",
    "row_norms",
]
