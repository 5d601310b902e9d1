"""Layers whose constants differ: each kind of neuron by itself while they are few, else all neurons at once.

Neurons of one layer share nothing but their input. So what is known of each kind of them, from its own currents,
is known of the layer. Kinds are rules of their own, and have their own tables, graphs and prices.

Many kinds are bounded all at once: their trains by tables that are alike (F1), or by graphs (F2).

Under a constant current, a hard reset with a = 1 has T + 1 trains, whatever λ and θ are: a first spike at step k,
then every k steps, or silence. The first spike may fall at k iff b_k·(1 − γ) ≤ I ≤ b_{k−1}·(1 + γ), b_k = θ/α_k,
α_k = Σ_{i<k} λ^i (see train_table.py). So one list of trains serves all neurons, and only its ends differ.

Elsewhere the graph is built for all neurons together; windows (F5) are asked for where they share their decay.
"""

import torch
from torch import Tensor

from ....models.linear_neuron import LinearNeuron
from ...rounding import Rounding, around
from ..signals.box import Box
from ..signals.joined import JoinedSignal, SharedSignal, chosen
from ..signals.membrane import Lanes, lane_drive, lane_slack
from ..signals.signals import Signal, SpikeBound
from .base import Trains
from .train_graph import trains_of, windowed_trains
from .train_table import TableTrains, gains, trains_between


def many_spikes(current: Signal, rule: LinearNeuron, rounding: Rounding) -> Trains:
    """Return what is known of the spikes of neurons of `rule`, all at once.

    Raises:
        OverflowError: where a potential may overflow.
    """
    if current.constant and rule.reset == "zero":
        return periodic_trains(current, rule, rounding)
    drives = lane_drive(current, rule, rounding)
    lanes = Lanes.of(rule, drives.lower)
    windows = not current.constant and rounding.bound == torch.float64  # a first look goes without
    if isinstance(lanes.decay, float) and windows:
        return windowed_trains(drives, current, lanes, rule.kinds[0])
    return trains_of(drives, lanes, keep=False)


def periodic_trains(current: Signal, rule: LinearNeuron, rounding: Rounding) -> TableTrains:
    """Return the trains of a hard reset under a constant current; the table's own ends say nothing.

    Raises:
        OverflowError: where a potential may overflow.
    """
    box, steps = current.steps()[0], current.num_steps
    lane_slack(box.magnitude.double(), rule, steps, rounding)
    low, high = _ends(rule, steps, rounding, box.lower)
    first = (box.lower > high).sum(0)
    last = (box.upper >= low).sum(0) - 1
    return trains_between(first, last, steps, box.lower)


def _ends(rule: LinearNeuron, steps: int, rounding: Rounding, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the ends of the currents of each train, (T + 1, 1, *features), rounding paid; they never decrease."""
    decay, threshold, _ = map(torch.as_tensor, rule.constants(like[None].double()))
    breakpoints = (threshold / torch.stack(gains(decay, steps)).flip(0))[:, None]
    low, high = around(breakpoints, steps, rounding)
    edge = torch.full_like(breakpoints[:1], torch.inf)
    found = Box(torch.cat((-edge, low)), torch.cat((high, edge)))
    found = found if like.dtype == torch.float64 else found.outward(like.dtype)
    return found.lower, found.upper


MOST_KINDS = 64
"""The most kinds of neurons of a layer that are bounded one after another: above, all at once, step by step."""


def varied_spikes(current: Signal, rule: LinearNeuron, spikes: SpikeBound, rounding: Rounding) -> Signal:
    """Return what is known of the spikes of neurons of several kinds.

    Args:
        current: of the whole layer.
        rule: of its neurons.
        spikes: what is known of the spikes of one kind.
        rounding: the dtypes of the run and of the bound.
    """
    if not separable(rule):
        return many_spikes(current, rule, rounding)
    features = current.magnitude().shape[1:]
    shared, places = SharedSignal(current), rule.places(tuple(features))
    parts = [
        spikes(chosen(shared, place, rounding), kind, rounding)
        for kind, place in zip(rule.kinds, places, strict=True)
    ]
    return JoinedSignal(tuple(parts), places, features)


def separable(rule: LinearNeuron) -> bool:
    """Return whether the kinds of neurons are few enough to be bounded one after another."""
    return len(rule.kinds) <= MOST_KINDS
