"""Spiking neurons, surrogates, networks, architectures and checkpoints."""

from .architectures import architecture, mlp
from .checkpoints import load, network_hash, save
from .dynamics import Dynamics
from .encoding import RateDraws
from .layers import Residual
from .networks import SpikingNetwork, Trace
from .neurons import DLIF, LIF
from .normalization import Normalize
from .surrogates import Arctan, Sigmoid, Surrogate, Triangle
from .vgg import vgg5, vgg11
from .wide_resnet import wrn16_4

__all__ = [
    "DLIF",
    "LIF",
    "Arctan",
    "Dynamics",
    "Normalize",
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
    "vgg5",
    "vgg11",
    "wrn16_4",
]
