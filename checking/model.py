"""The network of a model file, as exact numbers, and what its run is.

The run that a proof is about: at every step the same input enters (direct coding); what no spike has reached yet
is the same at each step and computed once; u = v·(1 − s) is exact under a hard reset; logits are what the layers
behind the last spikes make of their mean over time, or the mean of what they make of each step.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .arithmetic import ARITHMETIC, Arithmetic
from .exact import Refused
from .files import Content, read
from .layers import Layer, read_layer
from .neurons import Neuron

FORMAT = "spikecert.network/1"
MOST_STEPS = 256


@dataclass(frozen=True)
class Network:
    """Layers in sequence over `steps`.

    Attributes:
        digest: SHA-256 of description and weights.
        layers: affine layers and neurons in order.
    """

    digest: str
    steps: int
    arithmetic: Arithmetic
    layers: tuple[Layer | Neuron, ...]


def read_network(path: Path) -> Network:
    """Return the network of a file.

    Raises:
        Refused: for a damaged file, or a network that has no proof form here.
    """
    content = read(path, FORMAT)
    try:
        return _network(content)
    except Refused as error:
        raise Refused(f"{path.name}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(f"{path.name}: describes no network that is known here") from error


def _network(content: Content) -> Network:
    text, tensors = content.text, dict(content.tensors)
    steps = text["num_steps"]
    if not isinstance(steps, int) or not 1 <= steps <= MOST_STEPS:
        raise Refused(f"num_steps: got {steps!r}, expected 1 to {MOST_STEPS}")
    for key, expected in (("encoding", "direct"), ("readout", "mean")):
        if text[key] != expected:
            raise Refused(f"unknown: no proof form for {key} {text[key]!r}")
    kinds = {tensor.dtype for tensor in tensors.values()} - {np.dtype("<i8")}  # a batch norm counts its batches
    if len(kinds) != 1 or not kinds <= ARITHMETIC.keys():
        raise Refused("unknown: no proof form for weights that are not all float32 or all float64")
    layers = tuple(_layers(text["layers"], "layers", tensors, steps))
    if tensors:
        raise Refused(f"holds {min(tensors)[:40]}, which belongs to no layer")
    if not any(isinstance(layer, Neuron) for layer in layers):
        raise Refused("unknown: no proof form for a network without neurons")
    return Network(content.digest, steps, ARITHMETIC[kinds.pop()], layers)


def _layers(
    described: list[dict[str, Any]], name: str, tensors: dict[str, np.ndarray], steps: int
) -> Iterator[Layer | Neuron]:
    for index, layer in enumerate(described):
        place = f"{name}.{index}"
        if layer["type"] in ("LIF", "DLIF"):
            yield Neuron.read(tensors, place, layer, steps)
        else:
            yield read_layer(tensors, place, layer)
