"""Spiking neurons, surrogates, networks, architectures and checkpoints."""

if __name__ == "models":
    raise ImportError("import spikecert.models, not models: by another name each class would be there twice")

from typing import TYPE_CHECKING, Any

from .architectures import architecture, mlp
from .checkpoints import load, network_hash, save
from .circuit import Circuit, circuit
from .dynamics import Dynamics
from .encoding import RateDraws
from .latency import latency_code
from .layers import AdaptiveAverage, Residual, Share
from .learned_decay import PLIF, settled
from .networks import SpikingNetwork, Trace
from .neurons import DLIF, LIF
from .normalization import Normalize
from .one_spike import OneSpikeLIF
from .recurrent import Recurrent
from .refractory import RefractoryLIF
from .strided import strided
from .surrogates import Arctan, Sigmoid, Surrogate, Triangle
from .synapses import Synapse
from .varied import VariedLIF
from .vgg import vgg5, vgg11
from .wide_resnet import wrn16_4

if TYPE_CHECKING:
    from .conversion import (
        Conversion,
        ConversionCheck,
        ConversionRefused,
        check_conversion,
        convert,
        from_nir,
        from_norse,
        from_snntorch,
        from_spikingjelly,
        from_torch,
        to_nir,
    )

__all__ = [
    "DLIF",
    "LIF",
    "PLIF",
    "AdaptiveAverage",
    "Arctan",
    "Circuit",
    "Conversion",
    "ConversionCheck",
    "ConversionRefused",
    "Dynamics",
    "Normalize",
    "OneSpikeLIF",
    "RateDraws",
    "Recurrent",
    "RefractoryLIF",
    "Residual",
    "Share",
    "Sigmoid",
    "SpikingNetwork",
    "Surrogate",
    "Synapse",
    "Trace",
    "Triangle",
    "VariedLIF",
    "architecture",
    "check_conversion",
    "circuit",
    "convert",
    "from_nir",
    "from_norse",
    "from_snntorch",
    "from_spikingjelly",
    "from_torch",
    "latency_code",
    "load",
    "mlp",
    "network_hash",
    "save",
    "settled",
    "strided",
    "to_nir",
    "vgg5",
    "vgg11",
    "wrn16_4",
]

_CONVERSION = (
    *("Conversion", "ConversionCheck", "ConversionRefused", "check_conversion", "convert", "to_nir"),
    *("from_nir", "from_norse", "from_snntorch", "from_spikingjelly", "from_torch"),
)


def __getattr__(name: str) -> Any:
    """Import conversions when they are asked for: most of what uses networks reads no other library's."""
    if name not in _CONVERSION:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import conversion

    return getattr(conversion, name)
