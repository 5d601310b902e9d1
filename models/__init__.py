"""Spiking neurons, surrogates, networks, architectures and checkpoints."""

from .architectures import architecture, mlp
from .checkpoints import load, network_hash, save
from .dynamics import Dynamics
from .encoding import RateDraws
from .layers import Residual
from .networks import SpikingNetwork, Trace
from .neurons import DLIF, LIF
from .surrogates import Arctan, Sigmoid, Surrogate, Triangle

__all__ = [
    "DLIF",
    "LIF",
    "Arctan",
    "Dynamics",
    "RateDraws",
    "Residual",
    "Sigmoid",
    "SpikingNetwork",
    "Surrogate",
    "Trace",
    "Triangle",
    "architecture",
    "load",
    "mlp",
    "network_hash",
    "save",
]
