"""From an input set through a network to what is known of its logits and margins."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...models.layers import Residual
from ...models.networks import SpikingNetwork
from ...models.neurons import LIF
from .affine import AffineMap, affine_map
from .box import Box
from .rate_trains import rate_trains
from .rounding import Rounding
from .signals import AffineSignal, InputSignal, Signal, SumSignal

FEW_CLASSES = 16
"""Up to so many classes, the differences of all pairs are multiplied at once."""

SpikeBound = Callable[[Signal, LIF, Rounding], Signal]
"""Turns what is known of a layer's input currents into what is known of its spikes."""


@dataclass(frozen=True)
class LogitBounds:
    """Proven ends of each logit, (batch, classes), float64; they hold for the run in the network's own dtype."""

    lower: Tensor
    upper: Tensor


def propagate(layers: nn.ModuleList, signal: Signal, spikes: SpikeBound, rounding: Rounding) -> Signal:
    """Return what is known of the signal behind `layers`, in evaluation mode."""
    for layer in layers:
        if isinstance(layer, Residual):
            branch = propagate(layer.branch, signal, spikes, rounding)
            shortcut = propagate(layer.shortcut, signal, spikes, rounding)
            signal = SumSignal(branch, shortcut, rounding)
        elif isinstance(layer, LIF):
            signal = spikes(signal, layer, rounding)
        else:
            signal = AffineSignal(signal, affine_map(layer, rounding.bound), rounding)
    return signal


def logit_bounds(network: SpikingNetwork, inputs: Box, spikes: SpikeBound) -> LogitBounds:
    """Return bounds of the logits over the input set `inputs`, as `Perturbation.enclosure` gives it."""
    signal, rounding = input_signal(network, inputs), Rounding(network.dtype)
    layers = network.layers[:-1] if network.readout == "potential" else network.layers
    last = propagate(layers, signal, spikes, rounding)
    check_readout(network, last, rounding)
    box = last.combine(readout_row(network, inputs.lower))
    slack = 16 * rounding.unit * box.magnitude
    return LogitBounds((box.lower - slack).squeeze(0), (box.upper + slack).squeeze(0))


def margin_bounds(
    network: SpikingNetwork, inputs: Box, labels: Tensor, spikes: SpikeBound, quick: bool = False
) -> Tensor:
    """Return lower bounds of logit_y − logit_k for every class k, (batch, classes), float64; +inf at k = y.

    Where a Linear layer is last, its rows are subtracted before the bound is taken: (W_y − W_k)·x, not two
    logits' boxes. With `quick`, hidden layers are bounded in float32 where the run is no finer and the set is a
    plain box (a ball's center and flips stay in float64): sound as it is, wider by the rounding of float32.
    """
    layers = network.layers[:-1] if network.readout == "potential" else network.layers
    last = layers[-1]
    if not isinstance(last, nn.Linear):
        bounds = logit_bounds(network, inputs, spikes)
        lower = bounds.lower.gather(1, labels[:, None]) - bounds.upper
    else:
        signal, rounding = input_signal(network, inputs), Rounding(network.dtype)
        if quick and network.dtype != torch.float64 and _plain(signal):
            rounding = Rounding(network.dtype, torch.float32)
            signal = InputSignal(signal.box.outward(rounding.bound), signal.num_steps)
        before = propagate(layers[:-1], signal, spikes, rounding)
        check_readout(network, AffineSignal(before, affine_map(last, rounding.bound), rounding), rounding)
        row = readout_row(network, inputs.lower)
        lower = _difference(affine_map(last), last, before, row, labels, Rounding(network.dtype))
    return lower.scatter(1, labels[:, None], torch.inf)


def _plain(signal: InputSignal) -> bool:
    """Return whether the input set is a box and nothing else."""
    return type(signal) is InputSignal and signal.box.center is None


def input_signal(network: SpikingNetwork, inputs: Box) -> InputSignal:
    """Return what enters the first layer: (1, batch, ...) under direct coding, (T, batch, ...) otherwise."""
    if network.encoding == "rate":
        return rate_trains(inputs, network.draws.thresholds(network.num_steps, tuple(inputs.lower.shape[1:])))

    def arrange(tensor: Tensor) -> Tensor:
        return tensor.transpose(0, 1) if network.timed else tensor.unsqueeze(0)

    center = None if inputs.center is None else arrange(inputs.center)
    ball = None if inputs.ball is None else inputs.ball.reshape(1)
    flips = inputs.flips
    flips = None if flips is None else replace(flips, direction=arrange(flips.direction))
    return InputSignal(Box(arrange(inputs.lower), arrange(inputs.upper), center, ball, flips), network.num_steps)


def readout_row(network: SpikingNetwork, like: Tensor) -> Tensor:
    """Return the readout as one row over time: logits = Σ_t row[t]·x[t]."""
    steps = network.num_steps
    if network.readout != "potential":
        return like.new_full((1, steps), 1.0 / steps)
    neuron = network.layers[-1]
    assert isinstance(neuron, LIF)
    row = neuron.dynamics.decay ** torch.arange(steps - 1, -1, -1, dtype=like.dtype, device=like.device)
    scale = neuron.scale(steps)
    return (row if scale is None else row * scale.detach().double()).unsqueeze(0)


def check_readout(network: SpikingNetwork, last: Signal, rounding: Rounding) -> None:
    """Raise OverflowError where the readout may overflow: the last potential, or a sum over time before the mean.

    Args:
        network: the network.
        last: what its readout takes.
        rounding: the dtype of the run.
    """
    if network.readout != "potential":
        _check_sums(last, rounding)
        return
    scale = network.neurons[-1].scale(network.num_steps)
    factors = torch.ones(network.num_steps) if scale is None else scale.detach().double().abs()
    _check_reach(float(factors.sum()) * float(last.magnitude().max()), rounding)


def _check_sums(signal: Signal, rounding: Rounding) -> None:
    """Check the sum over time of a signal, and of those it is made of: the mean may be taken of any."""
    _check_reach(signal.num_steps * float(signal.magnitude().max()), rounding)
    if isinstance(signal, AffineSignal):
        _check_sums(signal.source, rounding)
    elif isinstance(signal, SumSignal):
        _check_sums(signal.first, rounding)
        _check_sums(signal.second, rounding)


def _check_reach(reach: float, rounding: Rounding) -> None:
    if not reach <= rounding.largest:
        raise OverflowError(f"the readout may reach {reach:.3g}, beyond {rounding.dtype}")


def _difference(
    last: AffineMap, layer: nn.Linear, before: Signal, row: Tensor, labels: Tensor, rounding: Rounding
) -> Tensor:
    """Return the lower bound of (W_y − W_k)·x + (b_y − b_k) over the box of x = Σ_t row[t]·before[t].

    Each logit of the run strays from its exact value by at most γ·(|W|·|x| + |b|)·Σ|row|: once for y, once for k.
    """
    combined = before.combine(row)
    box = Box(combined.lower.double(), combined.upper.double())
    weight = layer.weight.detach().double()
    middle = last.linear(box.middle[0]) + last.bias * row.sum()
    steps, moduli = before.num_steps, row.abs().sum()
    slack = last.slack(before.magnitude().double(), rounding, 4 * steps + 8) * moduli + rounding.smallest
    slack = slack.expand_as(middle)
    spread = _label_spread(weight, box.radius[0], labels)
    gap = middle.gather(1, labels[:, None]) - middle
    return gap - spread - slack - slack.gather(1, labels[:, None])


def _label_spread(weight: Tensor, radius: Tensor, labels: Tensor) -> Tensor:
    """Return Σ_j |W_yj − W_kj|·radius_j for each class k: one product for all labels, or, where classes are many,
    one for each label."""
    classes = len(weight)
    if classes <= FEW_CLASSES:
        pairs = (weight[:, None] - weight).abs_().flatten(0, 1)
        rows = torch.arange(len(labels), device=labels.device)
        return (radius @ pairs.T).unflatten(1, (classes, classes))[rows, labels]
    spread = radius.new_empty(len(radius), classes)
    for label in labels.unique():
        chosen = labels == label
        spread[chosen] = radius[chosen] @ (weight[label] - weight).abs().T
    return spread
