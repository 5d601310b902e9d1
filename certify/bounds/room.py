"""How many samples are bounded at once over many steps, and what one takes that would not fit what is free.

What is known of a neuron is held at each step: behind a hard reset by how long ago it fired last (long_trains.py),
a byte a label, else by about sixteen numbers; and what all samples share are a few matrices of T × T numbers. All
is measured, and rounded up; windows are made in parts, and add little.
"""

import math

import torch
from torch import Tensor

from ...models.circuit import (
    Added,
    Algebra,
    Chosen,
    Circuit,
    Filtered,
    Fired,
    Input,
    Mapped,
    Pooled,
    Read,
    Recurred,
    fold,
)
from ...models.rules import Rule, plain
from ...processes.memory import free_memory
from .long.long_trains import LONG, labels_of
from .propagation import Propagation

Shape = tuple[int, ...]

ROOM = 3 * 2**26
"""Bytes that the samples of one batch may take together: 192 MiB."""

SHARED = 4 * 8
"""Bytes of all samples' matrices, for each of T² entries."""


class NoRoom(OverflowError):
    """A sample's bound would take more memory than is free."""


class _Features(Algebra[Shape]):
    """The shape of each signal of one sample at one step."""

    reader = Propagation.reader
    answers = Propagation.answers
    declared = loops = True

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def input(self, node: Input) -> Shape:
        """Return the input's."""
        return self.shape

    def mapped(self, node: Mapped, shape: Shape) -> Shape:
        """Return what the map makes of it."""
        return node.map.output_shape(shape)

    def pooled(self, node: Pooled, shape: Shape) -> Shape:
        """Return that of the windows."""
        return tuple(node.windows.largest(torch.empty(1, *shape, device="meta")).shape[1:])

    def chosen(self, node: Chosen, *shapes: Shape) -> Shape:
        """Return the one that all have."""
        return shapes[0]

    def added(self, node: Added, one: Shape, other: Shape) -> Shape:
        """Return the one that both have."""
        return one

    def fired(self, node: Fired | Recurred | Filtered | Read, shape: Shape) -> Shape:
        """Return the one of the currents."""
        return shape

    recurred = filtered = read = fired


def at_once(made: Circuit, inputs: Tensor) -> int:
    """Return how many of some inputs, (batch, ...), may be bounded at once.

    Raises:
        NoRoom: where one would take more than what is free.
    """
    if made.num_steps < LONG or not len(inputs):
        return max(1, len(inputs))
    each = sample_bytes(made, tuple(made.arranged(inputs[:1]).shape[2:]))
    _check_room(made, each, inputs.device)
    return max(1, ROOM // each)


def sample_bytes(made: Circuit, shape: Shape) -> int:
    """Return about how many bytes a sample takes whose inputs have a shape, over all layers and steps."""
    shapes = fold(made, _Features(shape))
    each = [
        math.prod(shape) * _step_bytes(node.rule, made.num_steps)
        for node, shape in zip(made.nodes, shapes, strict=True)
        if isinstance(node, Fired | Recurred)
    ]
    return max(1, made.num_steps * sum(each))


def _step_bytes(rule: Rule, steps: int) -> int:
    """Return what a step of a neuron takes."""
    if plain(rule) and rule.reset == "zero":
        return 65 + labels_of(rule.decay, steps)
    return 256


def _check_room(made: Circuit, each: int, device: torch.device) -> None:
    """Raise where a sample does not fit what is free."""
    steps = made.num_steps
    wanted, free = each + SHARED * steps**2, free_memory() if device.type == "cpu" else None
    if free is not None and wanted > free:
        raise NoRoom(
            f"network: its bounds would take about {wanted / 2**30:.1f} GiB for a sample of T = {steps} steps, "
            f"expected at most the {free / 2**30:.1f} GiB that are free"
        )
