"""Xylo's configuration as Rockpool writes it (`save_config`), as a network of whole numbers.

What is read are the fields of Rockpool's `config_from_specification`: weights and shifts of input, reservoir and
readout, and of each neuron its two dashes and its threshold. All else (clocks, registers) changes no spike and is
left alone. A reservoir whose neurons hear each other only layer by layer is taken apart into these layers.
"""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Interval
from pydantic import ConfigDict, field_validator
from torch import nn

from ...files import FileKind
from ..circuit import circuit
from ..constants import at_least
from ..elements.integers import IntegerLIF, WholeDecay
from ..elements.registry import MOST_STEPS
from ..elements.synapses import Delay
from ..files.description import Schema
from ..linear_maps.averaging import WholeInput
from ..networks import SpikingNetwork

CONFIGURATION = FileKind("path", "a configuration of Xylo, as Rockpool saves it", most=2**24)
MOST_INPUT, MOST_HIDDEN, MOST_NEURONS = 15, 31, 1024
Weight = Annotated[int, Interval(ge=-128, le=127)]
Dash = Annotated[int, Interval(ge=0, le=15)]
Rows = tuple[tuple[Weight, ...], ...]


class _XyloPart(Schema):
    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="ignore", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return tuple(tuple(each) if isinstance(each, list) else each for each in value)


class _XyloNeuron(_XyloPart):
    i_syn_decay: Dash
    v_mem_decay: Dash
    threshold: Annotated[int, Interval(ge=1, le=2**15 - 1)]
    v_mem_bias: int = 0


class _XyloInput(_XyloPart):
    weights: Rows
    weight_bit_shift: Annotated[int, Interval(ge=0, le=7)]
    syn2_weights: Rows = ()


class _XyloLayer(_XyloInput):
    neurons: tuple[_XyloNeuron, ...]
    aliasing: bool = False


class _XyloConfiguration(_XyloPart):
    input: _XyloInput
    reservoir: _XyloLayer
    readout: _XyloLayer
    synapse2_enable: bool = False
    bias_enable: bool = False


def from_xylo(path: str | Path, num_steps: int = 100) -> SpikingNetwork:
    """Return the network of a configuration of Xylo: what its simulator's first version runs, spike for spike.

    Inputs are events, (batch, T, channels), 0 to 15 a step; the classes are counts of the readout's spikes.

    Args:
        path: a JSON file.
        num_steps: T, which no configuration says.

    Raises:
        ValueError: in one line, for what is no such file, and for what is not known here: a second synapse,
            biases, aliases, loops within the reservoir, and neurons of one layer that differ.
    """
    num_steps = at_least(1)("num_steps", num_steps)
    if num_steps > MOST_STEPS:
        raise ValueError(f"num_steps: got {num_steps}, expected at most {MOST_STEPS}")
    content = CONFIGURATION.json(path)
    if isinstance(content, dict) and len(content) == 1 and "reservoir" not in content:
        (content,) = content.values()  # some writers put all of it under one name
    read = _XyloConfiguration.read(content, "path")
    _check_features(read)
    layers: list[nn.Module] = [WholeInput(0, MOST_INPUT)]
    for matrix, neurons, most in _layers(read):
        dense = nn.Linear(matrix.shape[0], matrix.shape[1], bias=False).double()
        dense.weight = nn.Parameter(torch.from_numpy(matrix.T.astype(np.float64)))
        layers += [dense, _neuron(neurons, most), Delay(1)]
    made = SpikingNetwork(*layers[:-1], num_steps=num_steps, encoding="none", readout="spikes").double().eval()
    circuit(made)
    return made


def _check_features(read: _XyloConfiguration) -> None:
    """Raise ValueError for what changes spikes in a way that is not known here."""
    neurons = (*read.reservoir.neurons, *read.readout.neurons)
    second = any(any(map(any, part.syn2_weights)) for part in (read.input, read.reservoir))
    for present, what in (
        (read.synapse2_enable and second, "a second synapse"),
        (read.bias_enable and any(neuron.v_mem_bias for neuron in neurons), "biases"),
        (read.reservoir.aliasing, "aliases"),
    ):
        if present:
            raise ValueError(f"path: the configuration has {what}, expected none")


def _matrix(rows: Rows, shift: int, shape: tuple[int, int], name: str) -> np.ndarray:
    """Return weights, shifted; columns that are missing are 0."""
    widths = {len(row) for row in rows}
    if len(rows) != shape[0] or len(widths) > 1 or max(widths, default=0) > shape[1]:
        got = f"{len(rows)} rows of {'/'.join(map(str, sorted(widths)[:3]))} weights"
        raise ValueError(f"path: {name} has {got}, expected {shape[0]} of at most {shape[1]}")
    found = np.zeros(shape, np.int64)
    found[:, : max(widths, default=0)] = np.array(rows, np.int64).reshape(shape[0], -1)
    return found << shift


def _layers(read: _XyloConfiguration) -> list[tuple[np.ndarray, tuple[_XyloNeuron, ...], int]]:
    """Return weights, neurons and their most spikes, layer by layer."""
    hidden, outputs = read.reservoir.neurons, read.readout.neurons
    if not (read.input.weights and hidden and outputs):
        raise ValueError("path: the configuration has no inputs, hidden neurons or outputs, expected some of each")
    if (largest := max(len(read.input.weights), len(hidden), len(outputs))) > MOST_NEURONS:
        raise ValueError(f"path: got {largest} inputs or neurons of a kind, expected at most {MOST_NEURONS}")
    entering = _matrix(
        read.input.weights, read.input.weight_bit_shift, (len(read.input.weights), len(hidden)), "input"
    )
    within = _matrix(
        read.reservoir.weights, read.reservoir.weight_bit_shift, (len(hidden), len(hidden)), "reservoir"
    )
    leaving = _matrix(read.readout.weights, read.readout.weight_bit_shift, (len(hidden), len(outputs)), "readout")
    groups = _groups(entering, within, leaving)
    weights = [entering[:, groups[0]]]
    weights += [within[np.ix_(one, other)] for one, other in pairwise(groups)]
    found: list[tuple[np.ndarray, tuple[_XyloNeuron, ...], int]] = [
        (matrix, tuple(hidden[index] for index in group), MOST_HIDDEN)
        for matrix, group in zip(weights, groups, strict=True)
    ]
    return [*found, (leaving[groups[-1]], outputs, 1)]


def _groups(entering: np.ndarray, within: np.ndarray, leaving: np.ndarray) -> list[np.ndarray]:
    """Return the hidden neurons, layer by layer: each layer hears the one before it alone, the last is read."""
    level = np.where((within != 0).any(0), -1, 0)
    for _ in range(len(level)):
        for neuron in np.flatnonzero(level < 0):
            sources = set(level[np.flatnonzero(within[:, neuron])].tolist())
            if -1 not in sources:
                if len(sources) > 1 or entering[:, neuron].any():
                    raise ValueError(f"path: hidden neuron {neuron} hears several layers, expected one")
                level[neuron] = sources.pop() + 1
    if (level < 0).any():
        raise ValueError(f"path: hidden neuron {int(np.flatnonzero(level < 0)[0])} is in a loop, expected none")
    if (read := set(level[(leaving != 0).any(1)].tolist())) - {int(level.max())}:
        raise ValueError(f"path: the readout hears {len(read)} layers, expected the last one alone")
    return [np.flatnonzero(level == each) for each in range(int(level.max()) + 1)]


def _neuron(neurons: tuple[_XyloNeuron, ...], most: int) -> IntegerLIF:
    """Return the layer of neurons that are all alike."""
    kinds = {(each.i_syn_decay, each.v_mem_decay, each.threshold) for each in neurons}
    if len(kinds) > 1:
        raise ValueError(
            f"path: a layer has {len(kinds)} kinds of neurons, expected one dash and threshold for all"
        )
    ((synapse, leak, threshold),) = kinds
    constants: dict[str, Any] = {"bits": 16, "current_bits": 16, "saturating_sums": True, "decays_last": True}
    constants |= {"reset": "subtract", "most": most, "synapse": WholeDecay("dash", synapse)}
    return IntegerLIF(WholeDecay("dash", leak), threshold, **constants)
