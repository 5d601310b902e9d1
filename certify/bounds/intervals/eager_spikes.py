"""What spikes a layer may have, by torch's own operations: what the compiled kernel must agree with bitwise.

The interval recursion of interval.py, and the graph of train_graph.py where only its steps and sums are asked for.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ....models.rules import Leaky
from ..signals.blocks import blocks
from ..signals.box import Box, Spread
from ..signals.membrane import Drive, Pull
from ..trains.train_graph import GraphTrains, trains_of
from .resets import after_reset, zero_


def interval_steps(pull: Pull, rule: Leaky) -> Spread:
    """Return what each step's spike may be, as middle and radius: exactly 0, ½ or 1 each."""
    shape = (pull.num_steps, *pull.current.middle.shape[1:])
    middle, radius = pull.current.middle.new_empty((2, *shape))
    for rows in blocks(middle):
        for t, (certain, possible) in enumerate(fired(pull, rule, rows)):
            half = possible.mul(0.5)
            torch.add(half, certain, alpha=0.5, out=middle[t, rows])
            torch.sub(half, certain, alpha=0.5, out=radius[t, rows])
    return Spread(middle, radius)


def interval_counts(pull: Pull, rule: Leaky) -> Box:
    """Return the fewest and the most spikes, (batch, ...)."""
    fewest, most = torch.zeros_like(pull.current.middle[0]), torch.zeros_like(pull.current.middle[0])
    for rows in blocks(fewest[None]):
        for certain, possible in fired(pull, rule, rows):
            fewest[rows] += certain
            most[rows] += possible
    return Box(fewest, most)


def step_graph(pull: Pull, rule: Leaky) -> GraphTrains:
    """Return the graph of a layer, for steps and sums alone."""
    return trains_of(step_drive(pull), rule, keep=False)


def step_drive(pull: Pull) -> Drive:
    """Return what drives a layer as ends, whose widening nothing asks for."""
    ends = pull.current.box
    shape = (pull.num_steps, *ends.lower.shape[1:])
    lower, upper = ends.lower.expand(shape), ends.upper.expand(shape)
    return Drive(lower, upper, torch.zeros_like(lower[0]), pull.surely, pull.perhaps)


def fired(pull: Pull, rule: Leaky, rows: slice) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield which spikes of some samples are certain and which are possible, 0 or 1, step by step.

    With lower ≤ upper, a spike that is certain (v_low > surely) is possible, too (v_high ≥ perhaps). A step's
    current is read when that step is asked for, and no earlier. What is yielded is overwritten at the next step.
    """
    middle, radius = pull.current.middle[:, rows], pull.current.radius[:, rows]
    current, left, spikes = middle.new_zeros((3, 2, *middle.shape[1:]))
    (lower, upper), (must, may) = current, spikes
    for t in range(pull.num_steps):
        if t < len(middle):
            torch.sub(middle[t], radius[t], out=lower)
            torch.add(middle[t], radius[t], out=upper)
        potential = torch.add(current, left, alpha=rule.decay, out=left)
        low, high = potential.unbind()
        torch.gt(low, pull.surely, out=must)
        torch.ge(high, pull.perhaps, out=may)
        yield must, may
        if rule.reset == "zero":
            zero_(low, may, pull.perhaps)
            zero_(high, must, pull.surely)
        else:
            left = after_reset(potential, spikes, rule.reset, (pull.surely, pull.perhaps), rule.drop)
