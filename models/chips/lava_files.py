"""Networks of lava-dl (`.net`, HDF5, as its `export_hdf5` writes them), as lava's bit-accurate LIF runs them.

Dense layers and convolutions, one after another, of neurons of type CUBA or LOIHI. With whole numbers from the
file, W, b, iDecay, vDecay and vThMant, and z(x) = sign(x)·⌊|x|/2^12⌋ as netx hands them to lava:

    u[t] = z(u[t−1]·(4096 − iDecay)) + 2^6·W·s[t−1]     24 bits, which wrap: what may come there is refused
    v[t] = z(w[t−1]·(4096 − vDecay)) + u[t] + 2^6·b     cut at ±(2^23 − 1)
    s[t] = 1 and w[t] = 0 where v[t] > 2^6·vThMant, else w[t] = v[t]

Each connection hands spikes on a step later, the one from the input, too. (davies2018loihi)
"""

from pathlib import Path
from typing import Any

from torch import nn

from ...files import FileKind, Unreadable, read_tree
from ..circuit import circuit
from ..constants import at_least
from ..elements.fields import MOST_STEPS
from ..linear_maps.entrywise import WholeInput
from ..networks import SpikingNetwork
from .lava_layers import read_layer

NET = FileKind("path", "a network of lava-dl (.net)", most=2**28)
MOST_LAYERS = 1000


def from_lava(path: str | Path, num_steps: int = 100) -> SpikingNetwork:
    """Return the network of a file of lava-dl: inputs are events, (batch, T, …), classes counts of spikes.

    Args:
        path: a `.net` file.
        num_steps: T, which no file says.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: in one line, for what is no such file, and for what is not known here: other layers than
            dense ones, convolutions and "flatten", other neurons, delays, biases beside a current that is kept,
            weights that a chip would cut.
    """
    num_steps = at_least(1)("num_steps", num_steps)
    if num_steps > MOST_STEPS:
        raise ValueError(f"num_steps: got {num_steps}, expected at most {MOST_STEPS}")
    try:
        held = read_tree(NET.content(path), "lava")
    except Unreadable as error:
        raise ValueError(f"path: {path} is no network of lava-dl: {error}") from error
    layers, shape = list[nn.Module]([WholeInput(0, 1)]), None
    for name, layer in _in_order(held):
        found = read_layer(name, layer, shape)
        layers, shape = [*layers, *found.modules], found.shape
    if shape is None or len(shape) != 1:
        raise ValueError(f"path: the last layer has outputs of shape {shape}, expected one number a class")
    made = SpikingNetwork(*layers, num_steps=num_steps, encoding="none", readout="spikes").double().eval()
    circuit(made)
    return made


def _in_order(held: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the layers with their names, by their numbers."""
    names = [str(number) for number in range(len(held))]
    if not 1 <= len(held) <= MOST_LAYERS or set(held) != set(names):
        got = f"{len(held)} layers named {', '.join(sorted(held)[:3])}"
        raise ValueError(f"path: got {got[:100]}, expected layers 0, 1, … of which there are up to {MOST_LAYERS}")
    found = [(f"layer {name}", held[name]) for name in names]
    for name, layer in found:
        if not isinstance(layer, dict):
            raise ValueError(f"path: {name} is no group, expected one")
    return found
