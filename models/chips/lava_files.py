"""Networks of lava-dl (`.net`, HDF5, as its `export_hdf5` writes them), as lava's bit-accurate LIF runs them.

Dense layers and convolutions, one after another, of neurons of type CUBA or LOIHI. With whole numbers from the
file, W, b, iDecay, vDecay and vThMant, and z(x) = sign(x)·⌊|x|/2^12⌋ as netx hands them to lava:

    u[t] = z(u[t−1]·(4096 − iDecay)) + 2^6·W·s[t−1]     24 bits, which wrap: what may come there is refused
    v[t] = z(w[t−1]·(4096 − vDecay)) + u[t] + 2^6·b     cut at ±(2^23 − 1)
    s[t] = 1 and w[t] = 0 where v[t] > 2^6·vThMant, else w[t] = v[t]

Each connection hands spikes on a step later, the one from the input, too. (davies2018loihi)

The layers of a file of lava-dl: what each is as a module of whole numbers.

A convolution is a correlation with the weights as they stand in the file, channels first: what lava-dl trains.
(Its `netx` turns them round for lava's own convolution, which turns them back, and "flatten" puts channels first.)
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...files import FileKind, Unreadable, read_tree
from ..circuit import circuit
from ..constants import at_least
from ..elements.integers import IntegerLIF, WholeDecay
from ..elements.registry import MOST_STEPS
from ..elements.synapses import Delay
from ..linear_maps.averaging import WholeInput
from ..networks import SpikingNetwork

UNIT = 2**6
ONE, MOST_THRESHOLD = 4096, 2**17 - 1
MOST_SIDE = 2**10
"""Of a stride, a dilation, a padding or a number of groups."""
KNOWN = {
    "dense": {"type", "shape", "inFeatures", "outFeatures", "weight", "bias", "neuron"},
    "conv": {
        *("type", "shape", "inChannels", "outChannels", "weight", "bias", "neuron"),
        *("kernelSize", "stride", "padding", "dilation", "groups"),
    },
    "flatten": {"type", "shape"},
}
"""What of a layer is read, or follows from its weights."""
OF_NEURON = {"type", "iDecay", "vDecay", "vThMant", "refDelay", "gradedSpike"}
Shape = tuple[int, ...]


@dataclass(frozen=True)
class LavaLayer:
    """A layer: its modules, and the shape of one sample's outputs."""

    modules: tuple[nn.Module, ...]
    shape: Shape


def read_layer(name: str, layer: dict[str, Any], before: Shape | None) -> LavaLayer:
    """Return a layer behind outputs of a shape; None for the first one, whose inputs no file tells.

    Raises:
        ValueError: in one line, for what is not known here.
    """
    kind = _text(layer.get("type"), f"{name}'s type")
    if kind not in KNOWN:
        raise ValueError(f"path: {name} is of type {kind[:40]!r}, expected {', '.join(KNOWN)}")
    if others := sorted(set(layer) - KNOWN[kind]):
        told = f"{others[0][:40]!r}, which is not known here"
        raise ValueError(f"path: {name} has {told}, expected {', '.join(sorted(KNOWN[kind]))}")
    if kind == "flatten":
        return _flatten(name, layer, before)
    if not isinstance(layer.get("neuron"), dict):
        raise ValueError(f"path: {name} has no neuron, expected {', '.join(sorted(KNOWN[kind]))}")
    neuron, leak = _neuron(name, layer["neuron"])
    weight = _whole(layer.get("weight"), f"{name}'s weight")
    module, shape = (_dense if kind == "dense" else _convolution)(name, layer, weight, before)
    _check_bits(name, weight)
    module.weight = nn.Parameter(torch.from_numpy(weight * float(UNIT)))
    if "bias" in layer:
        module.bias = nn.Parameter(torch.from_numpy(_bias(name, layer, len(weight), leak) * float(UNIT)))
    return LavaLayer((Delay(1), module, neuron), shape)


def _flatten(name: str, layer: dict[str, Any], before: Shape | None) -> LavaLayer:
    if before is None or len(before) != 3:
        raise ValueError(f"path: {name} flattens what is no image, expected a convolution before it")
    shape = (math.prod(before),)
    if "shape" in layer and int(np.prod(_whole(layer["shape"], f"{name}'s shape"))) != shape[0]:
        raise ValueError(f"path: {name}'s shape does not fit the {shape[0]} outputs before")
    return LavaLayer((nn.Flatten(),), shape)


def _dense(name: str, layer: dict[str, Any], weight: np.ndarray, before: Shape | None) -> tuple[nn.Linear, Shape]:
    """Return a dense layer, its weights not yet in it, and the shape of its outputs."""
    if weight.ndim != 2 or 0 in weight.shape:
        raise ValueError(f"path: {name}'s weight has shape {weight.shape}, expected (outputs, inputs)")
    rows, columns = weight.shape
    for key, size in (("shape", rows), ("outFeatures", rows), ("inFeatures", columns)):
        if key in layer and int(np.prod(_whole(layer[key], f"{name}'s {key}"))) != size:
            raise ValueError(f"path: {name}'s {key} does not fit its weight of shape {weight.shape}")
    if before is not None and before != (columns,):
        told = f"{before[0]} outputs" if len(before) == 1 else f"image of shape {before}"
        raise ValueError(f"path: {name} has {columns} inputs, expected the {told} before")
    return nn.Linear(columns, rows, bias="bias" in layer).double(), (rows,)


def _convolution(
    name: str, layer: dict[str, Any], weight: np.ndarray, before: Shape | None
) -> tuple[nn.Conv2d, Shape]:
    """Return the same of a convolution, whose outputs' shape the file says."""
    if weight.ndim != 4 or 0 in weight.shape:
        raise ValueError(
            f"path: {name}'s weight has shape {weight.shape}, expected (outputs, inputs, height, width)"
        )
    stride, dilation = (_pair(name, layer, key, 1) for key in ("stride", "dilation"))
    padding, groups = _pair(name, layer, "padding", 0), _number(name, layer, "groups", 1, MOST_SIDE)
    channels = weight.shape[1] * groups
    for key, size in (
        ("outChannels", (len(weight),)),
        ("inChannels", (channels,)),
        ("kernelSize", weight.shape[2:]),
    ):
        if key in layer and tuple(_whole(layer[key], f"{name}'s {key}").reshape(-1).tolist()) != size:
            raise ValueError(f"path: {name}'s {key} does not fit its weight of shape {weight.shape}")
    shape = tuple(_whole(layer.get("shape"), f"{name}'s shape").reshape(-1).tolist())
    if len(shape) != 3 or shape[0] != len(weight) or min(shape) < 1 or len(weight) % groups:
        raise ValueError(f"path: {name}'s shape is {shape}, expected {len(weight)} channels, height and width")
    if before is not None:
        kernel = weight.shape[2:]
        sides = tuple(
            (side + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) // stride[axis] + 1
            for axis, side in enumerate(before[1:])
        )
        if len(before) != 3 or before[0] != channels or sides != shape[1:]:
            raise ValueError(f"path: {name} makes {shape} of {channels} channels, and {before} are before")
    asked: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    made = nn.Conv2d(channels, len(weight), tuple(weight.shape[2:]), bias="bias" in layer, **asked)
    return made.double(), shape


def _bias(name: str, layer: dict[str, Any], outputs: int, leak: bool) -> np.ndarray:
    """Return the bias of each output."""
    bias = _whole(layer["bias"], f"{name}'s bias").reshape(-1)
    if leak or len(bias) not in (1, outputs):
        told = "beside a current that is kept (iDecay < 4096)" if leak else f"of {len(bias)} numbers"
        raise ValueError(f"path: {name} has a bias {told}, expected one for each neuron, and iDecay 4096")
    return np.broadcast_to(bias, outputs)


def _pair(name: str, layer: dict[str, Any], key: str, least: int) -> tuple[int, int]:
    """Return two whole numbers: of height and width."""
    found = _whole(layer.get(key, np.nan), f"{name}'s {key}").reshape(-1).tolist()
    if len(found) not in (1, 2) or not least <= min(found) <= max(found) <= MOST_SIDE:
        raise ValueError(f"path: {name}'s {key} is {found[:4]}, expected two numbers from {least} to {MOST_SIDE}")
    return found[0], found[-1]


def _neuron(name: str, said: dict[str, Any]) -> tuple[IntegerLIF, bool]:
    """Return the neurons, and whether they keep a current."""
    kind = _text(said.get("type"), f"{name}'s neuron type")
    others = sorted(set(said) - OF_NEURON)
    if kind not in ("CUBA", "LOIHI") or others:
        told = f"a neuron of type {kind[:40]!r}" + (f" with {others[0][:40]!r}" if others else "")
        raise ValueError(f"path: {name} has {told}, expected CUBA or LOIHI with {', '.join(sorted(OF_NEURON))}")
    current, potential = (ONE - _number(name, said, key, 0, ONE) for key in ("iDecay", "vDecay"))
    threshold = _number(name, said, "vThMant", 1, MOST_THRESHOLD)
    for key, most in (("refDelay", 1), ("gradedSpike", 0)):
        if key in said:
            _number(name, said, key, 0, most)
    constants: dict[str, Any] = {"fires_at": ">", "bits": 24, "symmetric": True, "current_bits": 24}
    synapse = WholeDecay("truncate", 12, current) if current else None
    leak = WholeDecay("truncate", 12, potential)
    return IntegerLIF(leak, UNIT * threshold, synapse=synapse, **constants), bool(current)


def _check_bits(name: str, weight: np.ndarray) -> None:
    """Raise ValueError for weights that lose bits: of both signs even ones go to 254, others to 127."""
    low, high = int(weight.min()), int(weight.max())
    both, odd = low < 0 <= high, bool((weight % 2 != 0).any())
    ends = ((-128, 127) if odd else (-256, 254)) if both else (-256, 255)
    if low < ends[0] or high > ends[1]:
        raise ValueError(
            f"path: {name} has weights from {low} to {high}, expected {ends[0]} to {ends[1]} of these"
        )


def _text(value: Any, what: str) -> str:
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise ValueError(f"path: {what} is no text, expected a name")
    return value


def _whole(value: Any, what: str) -> np.ndarray:
    """Return numbers that are whole, as int64; lava-dl writes them as floats."""
    found = np.asarray(value)
    if found.dtype.kind not in "biuf" or not bool(np.all(np.isfinite(found) & (np.abs(found) < 2**31))):
        raise ValueError(f"path: {what} holds no finite numbers below 2^31, expected whole numbers")
    if not bool(np.all(found == np.round(found))):
        raise ValueError(f"path: {what} holds numbers that are not whole, expected whole numbers")
    return found.astype(np.int64)


def _number(name: str, said: dict[str, Any], key: str, least: int, most: int) -> int:
    found = _whole(said.get(key, np.nan), f"{name}'s {key}").reshape(-1)
    values = set(found.tolist())
    if len(values) != 1 or not least <= min(values) <= most:
        told = ", ".join(map(str, sorted(values)[:3])) or "nothing"
        raise ValueError(f"path: {name}'s {key} is {told}, expected one number from {least} to {most}")
    return int(found[0])


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
