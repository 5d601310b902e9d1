"""The spike trains of neurons that rest behind each spike: F1 and F2, from where each rest ends (F15).

A rest leaves exactly 0 and takes nothing in. So between its spikes such a neuron is one without rest that starts
afresh R steps after each spike, and its potential, its rounding included, depends on the currents since then
alone. Under a constant current a first spike at step k is followed by one every k + R steps, at the same
currents as without rest (`periodic_rows`). Elsewhere the graph has an edge τ → t for t > τ + R only (`rest` in
train_graph.py).
"""

from functools import lru_cache

import torch

from ....models.linear_neuron import LinearNeuron
from ...rounding import Rounding
from ..signals.membrane import drive
from ..signals.signals import Signal
from .base import Trains
from .forms import TrainTable
from .once_trains import once_spikes
from .train_graph import trains_of, windowed_trains
from .train_table import TableTrains, periodic_rows, sorted_table


def refractory_spikes(current: Signal, rule: LinearNeuron, rounding: Rounding) -> Trains:
    """Return the reachable spike trains of neurons of `rule` under `current`.

    Raises:
        OverflowError: where a potential may overflow.
    """
    own = rule.kinds[0]
    drives = drive(current, own, rounding, rule.start)
    if current.constant and rule.start == 0.0:
        box = current.steps()[0]
        table = resting_table(rule, current.num_steps, rounding).like(box.lower)
        return TableTrains(table, *table.reachable(box))
    if rounding.bound == torch.float64:  # a first look goes without windows
        return windowed_trains(drives, current, own, own, rule.rest, rule.start)
    return trains_of(drives, own, keep=False, rest=rule.rest, start=rule.start)


def resting_spikes(current: Signal, rule: LinearNeuron, rounding: Rounding) -> Trains:
    """Return what `refractory_spikes` does of steps and sums, without a graph where neurons fire once.

    Raises:
        OverflowError: where a potential may overflow.
    """
    if rule.rest >= current.num_steps and not current.constant:
        return once_spikes(current, rule, rounding)
    return refractory_spikes(current, rule, rounding)


@lru_cache(maxsize=256)
def resting_table(rule: LinearNeuron, num_steps: int, rounding: Rounding) -> TrainTable:
    """Return the T + 1 trains of neurons that rest, under a constant current."""
    return sorted_table(periodic_rows(rule.kinds[0], num_steps, rounding, rule.rest))
