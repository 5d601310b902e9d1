"""Stability analysis: perturbation dynamics, input-output gains, operator norms, certificates and theorems."""

if __name__ == "analysis":
    raise ImportError("import spikecert.analysis, not analysis: by another name each class would be there twice")

from typing import TYPE_CHECKING, Any

from .ablation import Ablation, TemporalAblation, temporal_ablation, without_loops, without_memory
from .arithmetic import Interval
from .certificates.checking import CheckedClaim, check_file, load_certificates, report_data, save_certificates
from .gains.gains import GainReport, LayerGain, gain
from .gains.neuron_gains import constant_gain, neuron_bias, neuron_gain
from .loops import PracticalStability
from .norms import matrix_norm, operator_norm
from .operators import layer_operators
from .patterns import Perturbation, mppd, pattern_radius, trace_mppd
from .stability import Growth, StabilityReport, stability
from .state_space import StateSpace, system

if TYPE_CHECKING:
    from .symbolic import Theorem, theorem, theorems

__all__ = [
    "Ablation",
    "CheckedClaim",
    "GainReport",
    "Growth",
    "Interval",
    "LayerGain",
    "Perturbation",
    "PracticalStability",
    "StabilityReport",
    "StateSpace",
    "TemporalAblation",
    "Theorem",
    "check_file",
    "constant_gain",
    "gain",
    "layer_operators",
    "load_certificates",
    "matrix_norm",
    "mppd",
    "neuron_bias",
    "neuron_gain",
    "operator_norm",
    "pattern_radius",
    "report_data",
    "save_certificates",
    "stability",
    "system",
    "temporal_ablation",
    "theorem",
    "theorems",
    "trace_mppd",
    "without_loops",
    "without_memory",
]


def __getattr__(name: str) -> Any:
    """Import the theory when it is asked for: sympy takes half a second."""
    if name not in ("Theorem", "theorem", "theorems"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import symbolic

    return getattr(symbolic, name)
