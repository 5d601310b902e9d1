"""The interval recursion by torch's own operations, and whether spikes.c agrees with it bitwise."""

import itertools

import torch

from spikecert.certify.bounds.intervals.compiled_spikes import SpikesKernel
from spikecert.certify.bounds.intervals.eager_spikes import fired, step_graph
from spikecert.certify.bounds.signals.blocks import blocks
from spikecert.certify.bounds.signals.box import Box, Spread
from spikecert.certify.bounds.signals.membrane import Pull
from spikecert.kernels.loading import RESETS
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


def agrees(built: SpikesKernel, dtype: torch.dtype) -> bool:
    """Return whether steps and sums come out bitwise as without the kernel."""
    for reset, decay, threshold in itertools.product(RESETS, (0.5, 0.9, 1.0), (0.75, 1.1)):
        rule, pull = Leaky(decay, threshold, reset), _probe(dtype, threshold)
        pairs = [
            (built.interval_steps(pull, rule).box, interval_steps(pull, rule).box),
            (built.interval_counts(pull, rule), interval_counts(pull, rule)),
        ]
        if reset == "zero":
            graph, row = step_graph(pull, rule), torch.linspace(-1.0, 1.3, pull.num_steps).to(dtype)
            pairs.append((built.graph_steps(pull, rule).box, graph.box.spread.box))
            pairs.append((built.graph_paths(pull, rule, row), graph.combine(row[None])[0]))
        if not all(torch.equal(a.lower, b.lower) and torch.equal(a.upper, b.upper) for a, b in pairs):
            return False
    return True


def _probe(dtype: torch.dtype, threshold: float) -> Pull:
    """Return currents many of which bring potentials exactly to a threshold."""
    generator = torch.Generator().manual_seed(0)
    middle, radius = torch.randn(2, 6, 1, 1003, generator=generator, dtype=torch.float64)
    radius.abs_().mul_(0.5)
    for ends in (middle, radius):
        ends[:, :, ::3] = (ends[:, :, ::3] * 8).round() / 8 * threshold
    return Pull(Spread(middle.to(dtype), radius.to(dtype)), 6, threshold, threshold)
