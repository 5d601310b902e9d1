"""Networks of neurons that rest behind their spikes, and what these do by hand and piece by piece."""

import itertools
from fractions import Fraction

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.models import LIF, RefractoryLIF, Residual, SpikingNetwork, Synapse
from support.oracles import least_margin
from support.recurrent import fill

SEEDS = st.integers(0, 2**31)


@st.composite
def resting(draw: st.DrawFn) -> RefractoryLIF:
    """Return neurons of any constants, at the ends of λ, too; rests may last longer than a run."""
    decay = draw(st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0.1, 0.95))
    threshold = draw(st.sampled_from([0.25, 0.5, 1.0]) | st.floats(0.2, 1.5))
    rest, start = (
        draw(st.sampled_from([0, 1, 1, 2, 3, 9, None])),
        draw(st.sampled_from([0.0, 0.0, 0.125, -0.25, 2.0])),
    )
    return RefractoryLIF(decay, threshold, rest, draw(st.sampled_from([">=", ">"])), start=start)


@st.composite
def networks(
    draw: st.DrawFn, width: int = 4, steps: int = 6, encodings=("direct", "direct", "none")
) -> SpikingNetwork:
    """Return a dense network whose neurons rest: the first ones, or all; behind a synapse, in a sum."""
    time, count, size = draw(st.integers(1, steps)), draw(st.integers(1, width)), draw(st.integers(1, width))
    first = [nn.Linear(size, count), draw(resting())]
    middle = {
        "one": [],
        "two": [nn.Linear(count, count), draw(resting())],
        "plain": [nn.Linear(count, count), LIF(0.9, 0.5, draw(st.sampled_from(["zero", "subtract"])))],
        "behind": [nn.Linear(count, count), Synapse(0.5, 1), draw(resting())],
        "sum": [Residual([nn.Linear(count, count), draw(resting())])],
    }[draw(st.sampled_from(["one", "two", "plain", "behind", "sum"]))]
    last = [nn.Linear(count, 3), *([draw(resting())] if draw(st.booleans()) else [])]
    network = SpikingNetwork(*first, *middle, *last, num_steps=time, encoding=draw(st.sampled_from(encodings)))
    fill(network, draw(st.booleans()), torch.Generator().manual_seed(draw(SEEDS)))
    return network.to(draw(st.sampled_from([torch.float32, torch.float64]))).eval()


def by_hand(layer: RefractoryLIF, current: Tensor) -> Tensor:
    """Return the spikes of currents (T, batch, n), neuron by neuron."""
    d, found = layer.dynamics, torch.zeros_like(current)
    for place in [(b, j) for b in range(current.shape[1]) for j in range(current.shape[2])]:
        potential, last = current.new_tensor(layer.start), -(10**9)
        for t in range(len(current)):
            if t - last <= (10**8 if layer.rest is None else layer.rest):
                continue
            potential = d.decay * potential + current[(t, *place)]
            if potential >= d.threshold if d.fires_at == ">=" else potential > d.threshold:
                found[(t, *place)], last = 1.0, t
                potential = torch.zeros_like(potential)
    return found


def line_margin(network: SpikingNetwork, low: float, high: float, label: int) -> float:
    """Return the exact least margin of Linear(1, n), RefractoryLIF, Linear for an input in [low, high], float64.

    v[k] = λ^k·u[0] + I·Σ_{i<k} λ^i up to the first spike, and the same from 0 behind each rest: so trains change
    where one of these is θ for some neuron, and nowhere else.
    """
    first, layer = network.layers[:2]
    assert isinstance(first, nn.Linear)
    assert isinstance(layer, RefractoryLIF)
    decay, theta = Fraction(layer.dynamics.decay), Fraction(layer.dynamics.threshold)
    ages = range(1, network.num_steps + 1)
    sums = [(decay**k, sum((decay**i for i in range(k)), start=Fraction(0))) for k in ages]
    starts = Fraction(0), Fraction(layer.start)
    lines = [
        (Fraction(w), Fraction(b)) for w, b in zip(first.weight[:, 0].tolist(), first.bias.tolist(), strict=True)
    ]
    currents = {(theta - left * start) / total for left, total in sums for start in starts}
    cuts = {(current - b) / w for w, b in lines if w != 0 for current in currents}
    ends = sorted({Fraction(low), Fraction(high), *(x for x in cuts if low < x < high)})
    pairs = [(one, other) for one, other in itertools.pairwise(ends) if other - one > Fraction(1, 10**9)]
    points = [float((one + other) / 2) for one, other in pairs] or [low]
    return least_margin(network, torch.tensor(points, dtype=torch.float64)[:, None], label)


@st.composite
def lines(draw: st.DrawFn) -> SpikingNetwork:
    """Return networks of one input, in double precision."""
    layers = nn.Linear(1, draw(st.integers(1, 3))), draw(resting())
    network = SpikingNetwork(*layers, nn.Linear(layers[0].out_features, 3), num_steps=draw(st.integers(1, 6)))
    fill(network, draw(st.booleans()), torch.Generator().manual_seed(draw(SEEDS)))
    return network.double().eval()
