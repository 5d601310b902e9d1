"""Spiking neurons, surrogates, networks, architectures and checkpoints."""

if __name__ == "models":
    raise ImportError("import spikecert.models, not models: by another name each class would be there twice")

from typing import TYPE_CHECKING, Any

from .architectures.architectures import architecture, mlp
from .architectures.images import strided, vgg5, vgg11, wrn16_4
from .chips import (
    BuildComparison,
    ChipWeights,
    Quantization,
    from_lava,
    from_xylo,
    quantization,
    quantize,
    whole_inputs,
)
from .circuit import Circuit, circuit
from .dynamics import Arctan, Dynamics, Sigmoid, Surrogate, Triangle
from .elements.encoder import Encoder
from .elements.integers import IntegerLIF, WholeDecay
from .elements.layers import PerStep, Residual, SpikeAnd, SpikeIand
from .elements.learned_decay import PLIF, settled
from .elements.neuron import AdaptiveLIF, CoupledLIF, Neuron, OneSpikeLIF, RefractoryLIF
from .elements.neurons import DLIF, LIF
from .elements.recurrent import Recurrent
from .elements.synapses import Delay, Synapse
from .elements.varied import VariedLIF
from .files.storage import load, network_hash, save
from .linear_maps.averaging import AdaptiveAverage, Share, WholeInput
from .linear_maps.normalizing import Normalize
from .networks import SpikingNetwork, Trace
from .running.encoding import RateDraws, latency_code

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
        into,
        to_nir,
    )

__all__ = [
    "DLIF",
    "LIF",
    "PLIF",
    "AdaptiveAverage",
    "AdaptiveLIF",
    "Arctan",
    "BuildComparison",
    "ChipWeights",
    "Circuit",
    "Conversion",
    "ConversionCheck",
    "ConversionRefused",
    "CoupledLIF",
    "Delay",
    "Dynamics",
    "Encoder",
    "IntegerLIF",
    "Neuron",
    "Normalize",
    "OneSpikeLIF",
    "PerStep",
    "Quantization",
    "RateDraws",
    "Recurrent",
    "RefractoryLIF",
    "Residual",
    "Share",
    "Sigmoid",
    "SpikeAnd",
    "SpikeIand",
    "SpikingNetwork",
    "Surrogate",
    "Synapse",
    "Trace",
    "Triangle",
    "VariedLIF",
    "WholeDecay",
    "WholeInput",
    "architecture",
    "check_conversion",
    "circuit",
    "convert",
    "from_lava",
    "from_nir",
    "from_norse",
    "from_snntorch",
    "from_spikingjelly",
    "from_torch",
    "from_xylo",
    "into",
    "latency_code",
    "load",
    "mlp",
    "network_hash",
    "quantization",
    "quantize",
    "save",
    "settled",
    "strided",
    "to_nir",
    "vgg5",
    "vgg11",
    "whole_inputs",
    "wrn16_4",
]

_CONVERSION = (
    *("Conversion", "ConversionCheck", "ConversionRefused", "check_conversion", "convert", "to_nir"),
    *("from_nir", "from_norse", "from_snntorch", "from_spikingjelly", "from_torch", "into"),
)


def __getattr__(name: str) -> Any:
    """Import conversions when they are asked for: most of what uses networks reads no other library's."""
    if name not in _CONVERSION:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import conversion

    return getattr(conversion, name)
