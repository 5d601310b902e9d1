"""The interval recursion by torch's own operations: what spikes.c must agree with bitwise."""

import torch

from spikecert.certify.bounds.intervals.eager_spikes import fired
from spikecert.certify.bounds.signals.blocks import blocks
from spikecert.certify.bounds.signals.box import Box, Spread
from spikecert.certify.bounds.signals.membrane import Pull
from spikecert.models.rules import Leaky


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
