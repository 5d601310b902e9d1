"""Potentials next to a threshold: whatever order a run sums in, its spikes are among those that bounds allow."""

from fractions import Fraction

import norse.torch as norse
import numpy as np
import pytest
import torch
from norse.torch.functional.lif_box import LIFBoxFeedForwardState
from torch import nn

from spikecert import LIF, LInf, SpikingNetwork, circuit, from_norse
from spikecert.certify.bounds.intervals import interval_spikes
from spikecert.certify.bounds.propagation import input_signal, propagate
from spikecert.certify.bounds.signals.signals import SpikeBound
from spikecert.certify.bounds.trains.trains import conserved_spikes, step_spikes, train_spikes, window_spikes
from spikecert.certify.rounding import Rounding, step_error
from spikecert.testing import Case
from support.checked_runs import asked
from support.orders import sums

NEURONS, STEPS = 16, 3
BOUNDS = {
    "interval": interval_spikes,
    "steps": step_spikes,
    "trains": train_spikes,
    "windows": window_spikes,
    "conserved": conserved_spikes,
}


def tied(seed: int, reset: str) -> tuple[SpikingNetwork, torch.Tensor, np.ndarray]:
    """Return a network, an input, and the second layer's spikes in many orders of summation, (orders, neurons, T).

    One weight of each neuron brings its exact current of some step within some units of θ. It forgets at once, so
    that a spike is a sum's.
    """
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    first, second = nn.Linear(4, 24), nn.Linear(24, NEURONS)
    network = SpikingNetwork(first, LIF(0.8), second, LIF(0.0, 1.0, reset), nn.Linear(NEURONS, 3), num_steps=STEPS)
    first.weight.data *= 3.0
    second.weight.data = torch.randn(NEURONS, 24)
    x = torch.rand(1, 4)
    with torch.no_grad():
        spikes = network.trace(x).spikes[0][:, 0].numpy()
    for row, bias in zip(second.weight.data.numpy(), second.bias.data.numpy(), strict=True):
        step = spikes[generator.integers(STEPS)]
        if step.any():
            place = generator.choice(np.flatnonzero(step))
            rest = sum(Fraction(float(w)) for k, w in enumerate(row * step) if k != place) + Fraction(float(bias))
            row[place] = float(1 - rest + Fraction(int(generator.integers(-3, 4)), 2**24))
    fires = []
    for row, bias in zip(second.weight.data.numpy(), second.bias.data.numpy(), strict=True):
        found = [[total >= 1.0 for total in sums(row, step, bias, generator)] for step in spikes]
        fires.append(np.array(found).T)
    return network.eval(), x, np.stack(fires, 1)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_no_order_leaves_the_bounds(tmp_path, reset: str):
    differ = 0
    for seed in range(6):
        network, x, fires = tied(seed, reset)
        differ += int((fires.any(0) & ~fires.all(0)).sum())
        made = circuit(network)
        for name, spikes in BOUNDS.items():
            check(spikes, made, x, fires, name)
        kernel = asked(Case(network, x, torch.zeros(1), 0.0), tmp_path)
        _, second = kernel.nodes.graph.spiking
        certain, possible = np.moveaxis(np.array(kernel.context.bits[second]), 2, 0)
        assert np.all((certain <= fires) & (fires <= possible))
    assert differ > 20


def check(spikes: SpikeBound, made, x: torch.Tensor, fires: np.ndarray, name: str) -> None:
    quick = name in ("interval", "steps")  # a first look, in float32
    for rounding in (Rounding(torch.float32), Rounding(torch.float32, torch.float32))[: 1 + quick]:
        box = LInf(0.0).enclosure(x)
        source = input_signal(made, box if rounding.bound == torch.float64 else box.outward(torch.float32))
        known = propagate(made, source, spikes, rounding)[4].steps()
        low, high = (end[:, 0].T.numpy() for end in (known.lower, known.upper))
        assert np.all((low <= fires) & (fires <= high)), (name, rounding)


def share_taken(offset: float, tau: float) -> float:
    """Return how far Norse's own order strays in a step, at most, as a share of what is paid for one.

    Potentials are counted from v_leak, of `offset` thresholds at most; with a = dt/τ, v̂/a is what is compared with
    λ·v/a + x, exactly, from the same v.
    """
    generator = torch.Generator().manual_seed(round(offset + tau))
    draws = [torch.rand(50_000, generator=generator).double() * 2.0 - 1.0 for _ in range(4)]
    threshold = draws[0].abs() * 2.0 + 0.1
    leak = (offset * draws[1] * threshold).float()
    before, x = (leak.double() + 2.0 * draws[2] * threshold).float(), (2.0 * draws[3] * threshold).float()
    parameters = norse.LIFBoxParameters(torch.tensor(tau), leak, torch.tensor(1e9))
    _, state = norse.LIFBoxCell(parameters)(x, LIFBoxFeedForwardState(before))
    share = (0.001 * torch.tensor(tau)).double()
    kept, found = ((v.double() - leak.double()) / share for v in (before, state.v))
    off = (found - ((1.0 - share) * kept + x.double())).abs()
    paid = step_error(1.0 - share, kept.abs(), x.double().abs() + threshold / share, Rounding(torch.float32))
    return float((off / paid).max())


@pytest.mark.parametrize("tau", [1.0, 66.3313, 500.0, 999.0])
def test_norses_order_strays_by_less_than_a_step_pays(tau: float):
    assert share_taken(0.0, tau) < 0.5
    assert share_taken(3.0, tau) < 0.8
    assert share_taken(20.0, tau) > 1.0


def test_potentials_that_are_counted_from_far_away_pay_for_it():
    def module(leak: float) -> nn.Module:
        torch.manual_seed(0)
        p = norse.LIFBoxParameters(torch.tensor(500.0), *(torch.tensor(leak + each) for each in (0.0, 0.5, 0.0)))
        first = nn.Linear(5, 8)
        first.weight.data.mul_(4.0)
        return norse.SequentialState(first, norse.LIFBoxCell(p), nn.Linear(8, 3))

    inputs = torch.rand(4, 5, generator=torch.Generator().manual_seed(0))
    near, far = (from_norse(module(leak), inputs, 4) for leak in (-0.5, -8.0))
    assert near.neurons[0].dynamics.threshold == far.neurons[0].dynamics.threshold == 1.0
    factors = [each.source.boxes[0].factor for each in (near, far) if each.source is not None]
    assert factors[0] < 1.1 < share_taken(16.0, 500.0) < factors[1]
