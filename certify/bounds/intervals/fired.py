"""What spikes a layer may have, step by step by torch's own operations: where currents depend on earlier spikes,
and the graph of train_graph.py where only its steps and sums are asked for, of resets that spikes.c has no graph
of.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ....models.rules import Leaky
from ..signals.membrane import Drive, Pull
from ..trains.train_graph import GraphTrains, trains_of
from .resets import after_reset, zero_


def step_graph(pull: Pull, rule: Leaky) -> GraphTrains:
    """Return the graph of a layer, for steps and sums alone."""
    return trains_of(step_drive(pull), rule, keep=False)


def step_drive(pull: Pull) -> Drive:
    """Return what drives a layer as ends, whose widening nothing asks for."""
    ends = pull.current.box
    shape = (pull.num_steps, *ends.lower.shape[1:])
    lower, upper = ends.lower.expand(shape), ends.upper.expand(shape)
    return Drive(lower, upper, torch.zeros_like(lower[0]), pull.surely, pull.perhaps)


def fired(pull: Pull, rule: Leaky) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield which spikes are certain and which are possible, 0 or 1, step by step.

    With lower ≤ upper, a spike that is certain (v_low > surely) is possible, too (v_high ≥ perhaps). A step's
    current is read when that step is asked for, and no earlier. What is yielded is overwritten at the next step.
    """
    middle, radius = pull.current.middle, pull.current.radius
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
