"""Exact answers by other routes: rational enumeration, linear-programming feasibility, cells of an input box.

Nothing here shares code with the bounds it checks.
"""

import itertools
import math
from fractions import Fraction

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor, nn

from spikecert.certify import SpikeShift
from spikecert.models import LIF, Dynamics, SpikingNetwork, Synapse, VariedLIF

Train = tuple[int, ...]


def exact_trains(dynamics: Dynamics, scale: list[float], low: float, high: float) -> set[Train]:
    """Return the trains of all constant currents in [low, high], in rational arithmetic.

    Pieces of positive width have one train each; at their ends a tie fires at every step or at none.
    """
    pieces = _pieces(dynamics, scale, low, high)
    ends = {end for piece in pieces for end in piece[:2]} | {Fraction(low), Fraction(high)}
    wide = {piece[4] for piece in pieces if piece[0] < piece[1]}
    return wide | {_rational_run(dynamics, scale, end, ties) for end in ends for ties in (True, False)}


def _pieces(dynamics: Dynamics, scale: list[float], low: float, high: float) -> list[tuple]:
    decay, theta, amount = Fraction(dynamics.decay), Fraction(dynamics.threshold), _amount(dynamics)
    pieces: list[tuple] = [(Fraction(low), Fraction(high), Fraction(0), Fraction(0), ())]
    for factor in map(Fraction, scale):
        pieces = [
            child
            for lower, upper, slope, offset, train in pieces
            for child in _split(lower, upper, decay * slope + factor, decay * offset, train, theta, amount)
        ]
    return pieces


def _rational_run(dynamics: Dynamics, scale: list[float], current: Fraction, ties: bool) -> Train:
    """Return the train of one current, where v = θ fires iff `ties`."""
    decay, theta, residue = Fraction(dynamics.decay), Fraction(dynamics.threshold), Fraction(0)
    train = []
    for factor in map(Fraction, scale):
        potential = decay * residue + factor * current
        spike = potential > theta or (ties and potential == theta)
        train.append(int(spike))
        residue = potential
        if spike and dynamics.reset != "none":
            amount = _amount(dynamics)
            residue = Fraction(0) if amount is None else potential - amount
    return tuple(train)


def _amount(dynamics: Dynamics) -> Fraction | None:
    """Return what a spike takes away, None for everything."""
    if dynamics.reset == "subtract":
        return Fraction(dynamics.threshold if dynamics.reset_amount is None else dynamics.reset_amount)
    return Fraction(0) if dynamics.reset == "none" else None


def _split(lower, upper, slope, offset, train, theta, amount):
    """Yield the part of [lower, upper] that is silent and the part that fires, for v = slope·I + offset."""
    for spike in (0, 1):
        sign = -1 if spike else 1  # silent: v ≤ θ; fires: −v ≤ −θ
        part = _half_line(lower, upper, sign * slope, sign * (theta - offset))
        if part is None:
            continue
        if spike and amount is None:
            yield (*part, Fraction(0), Fraction(0), (*train, 1))
        else:
            yield (*part, slope, offset - (amount if spike else 0), (*train, spike))


def _half_line(lower, upper, slope, limit):
    if slope > 0:
        upper = min(upper, limit / slope)
    elif slope < 0:
        lower = max(lower, limit / slope)
    elif limit < 0:
        return None
    return (lower, upper) if lower <= upper else None


def feasible_trains(dynamics: Dynamics, low: list[float], high: list[float], slack: float) -> set[Train]:
    """Return the trains of a hard-reset neuron whose currents are in boxes over time: one LP for each of 2^T.

    A spike needs v ≥ θ − slack, silence v ≤ θ + slack; the solver itself can't tell differences below 1e-7.
    """
    return {
        train
        for train in itertools.product((0, 1), repeat=len(low))
        if _has_currents(train, dynamics, low, high, slack)
    }


def _has_currents(train: Train, dynamics: Dynamics, low: list[float], high: list[float], slack: float) -> bool:
    """Return whether currents exist for a train: v[t] is linear in the currents since the last spike."""
    rows, limits = [], []
    last = 0
    for t, spike in enumerate(train):
        row = np.zeros(len(train))
        row[last : t + 1] = [dynamics.decay ** (t - k) for k in range(last, t + 1)]
        rows.append(-row if spike else row)
        limits.append((-dynamics.threshold if spike else dynamics.threshold) + slack)
        last = t + 1 if spike else last
    solution = linprog(
        np.zeros(len(train)), A_ub=rows, b_ub=limits, bounds=list(zip(low, high, strict=True)), method="highs"
    )
    return solution.status == 0


def every_flip(events: Tensor, count: int) -> Tensor:
    """Return all inputs that differ from one sample's events (...) in at most `count` entries, (n, ...)."""
    flat, found = events.flatten(), []
    for size in range(min(count, len(flat)) + 1):
        for places in itertools.combinations(range(len(flat)), size):
            moved = flat.clone()
            moved[list(places)] = 1 - moved[list(places)]
            found.append(moved.view_as(events))
    return torch.stack(found)


def every_shift(events: Tensor, threat: SpikeShift, mask: Tensor) -> Tensor:
    """Return all inputs that a sample's events, (T, features), become when they move, (n, T, features), each once.

    Args:
        events: whole numbers.
        threat: how far, how many, and what becomes of events that meet or leave.
        mask: where events may move.
    """
    steps, reach = len(events), threat.jitter
    assert reach is not None
    counts = (events * mask).long().tolist()
    units = [(t, i) for t, row in enumerate(counts) for i, count in enumerate(row) for _ in range(count)]
    found: dict[tuple[float, ...], Tensor] = {}
    for goals in itertools.product(*(range(t - reach, t + reach + 1) for t, _ in units)):
        sizes = [abs(goal - t) for goal, (t, _) in zip(goals, units, strict=True)]
        outside = any(not 0 <= goal < steps for goal in goals)
        if (
            (outside and threat.border == "stay")
            or (threat.count is not None and sum(size > 0 for size in sizes) > threat.count)
            or (threat.total is not None and sum(sizes) > threat.total)
        ):
            continue
        moved = events.clone()
        for goal, (t, i) in zip(goals, units, strict=True):
            moved[t, i] -= 1
            if 0 <= goal < steps:
                moved[goal, i] += 1
        if threat.merge == "refuse" and bool((moved > 1).any()):
            continue
        moved = moved.clamp_max(1) if threat.merge == "or" else moved
        found[tuple(moved.flatten().tolist())] = moved
    return torch.stack(list(found.values()))


def every_rate(low: Tensor, high: Tensor, draws: Tensor) -> Tensor:
    """Return rates of one sample between `low` and `high`, (n, features), that give every reachable spike pattern.

    A feature's spikes change only as its rate passes a draw u[t], (T, features): they spike above it, not at it.
    """
    choices = [_rates(a, b, column) for a, b, column in zip(low.tolist(), high.tolist(), draws.T, strict=True)]
    return torch.tensor(list(itertools.product(*choices)), dtype=torch.float64)


def _rates(low: float, high: float, draws: Tensor) -> list[float]:
    between = [draw for draw in draws.tolist() if low <= draw < high]
    return [low, high, *between, *(min(math.nextafter(draw, math.inf), high) for draw in between)]


def _filtered_ones(synapse: Synapse, steps: int) -> list[float]:
    """Return what a synapse makes of an input of 1 at each step."""
    found, current = [], Fraction(0)
    for t in range(steps):
        current = Fraction(synapse.decay) * current + (t >= synapse.delay)
        found.append(float(current))
    return found


def least_margin(network: SpikingNetwork, inputs: Tensor, label: int) -> float:
    """Return the least margin of the listed inputs, each run in the network's dtype."""
    with torch.no_grad():
        logits = network(inputs.to(network.dtype)).double()
    others = logits.clone()
    others[:, label] = -torch.inf
    return float((logits[:, label] - others.amax(1)).min())


def dynamics_of(neuron: LIF, index: int) -> Dynamics:
    """Return the constants of one neuron of a layer of vectors."""
    if not isinstance(neuron, VariedLIF):
        return neuron.dynamics
    decay, threshold, *amount = (float(array[index]) for array in neuron.constants)
    settings = neuron.reset, neuron.shared.fires_at, neuron.surrogate
    return Dynamics(decay, threshold, *settings, amount[0] if amount else None)


def line_margin(network: SpikingNetwork, low: float, high: float, label: int) -> float:
    """Return the exact least margin of a network with one input in [low, high], direct coding, float64.

    The network is piecewise constant in its input; its pieces end where a first-layer current meets a
    breakpoint of that neuron. One point inside each piece decides the piece. A synapse between the two scales the
    constant current step by step.
    """
    first, neuron = network.layers[0], network.neurons[0]
    assert isinstance(first, nn.Linear)
    scale = neuron.scale(network.num_steps)
    factors = [1.0] * network.num_steps if scale is None else scale.tolist()
    second = network.layers[1]
    if isinstance(second, Synapse):
        ones = _filtered_ones(second, network.num_steps)
        factors = [a * b for a, b in zip(factors, ones, strict=True)]
    ends = {low, high}
    for index, (weight, bias) in enumerate(zip(first.weight[:, 0].tolist(), first.bias.tolist(), strict=True)):
        if weight != 0.0:
            reach = sorted((weight * low + bias, weight * high + bias))
            pieces = _pieces(dynamics_of(neuron, index), factors, *reach)
            ends |= {(float(end) - bias) / weight for piece in pieces for end in piece[:2]}
    inside = sorted(end for end in ends if low <= end <= high)
    middles = [(a + b) / 2 for a, b in itertools.pairwise(inside) if b - a > 1e-9] or [low]
    return least_margin(network, torch.tensor(middles, dtype=torch.float64)[:, None], label)
