"""Neurons that rest as people write it, and what looks like them: a near-miss rests shorter behind one step."""

import torch
from torch import Tensor

from .hand_written import STEPS, At, Net, fire, zeros


def counted_down(net: Net, x: Tensor, at: At) -> Tensor:
    """A counter is set at a spike and counted down; the potential is 0 until it is."""
    v, left, total = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        v = torch.where(left > 0, torch.zeros_like(v), at.potential(t, at.decay(t, 0.75) * v + net.fc1(x)))
        s = fire(v - at.threshold(t, 1.0))
        v = v * (1 - s)
        left = torch.where(s > 0, torch.full_like(left, at.rest(t, 2.0)), (left - 1).clamp(min=0))
        total = total + net.fc2(s)
    return total / STEPS


def masked_spikes(net: Net, x: Tensor, at: At) -> Tensor:
    """The spike is masked while the rest lasts, and the potential is held then."""
    v, left, total = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        new = at.potential(t, at.decay(t, 0.75) * v + net.fc1(x))
        fired, free = fire(new - at.threshold(t, 1.0)), (left == 0).float()
        s = fired * free
        v = free * new * (1 - fired) + (1 - free) * v
        left = (1 - s) * torch.relu(left - 1) + s * at.rest(t, 2.0)
        total = total + net.fc2(s)
    return total / STEPS


def whole_counter(net: Net, x: Tensor, at: At) -> Tensor:
    """A counter of whole numbers, masks that are filled, a synapse that goes on in the rest."""
    v, i, total = zeros(x), zeros(x), zeros(x, 3)
    left = torch.zeros(len(x), 6, dtype=torch.long)
    for t in range(STEPS):
        i = 0.5 * i + net.fc1(x)
        v = at.potential(t, at.decay(t, 0.75) * v + i).masked_fill(left > 0, 0.0)
        s = fire(v - at.threshold(t, 1.0)).masked_fill(left > 0, 0.0)
        v = v.masked_fill(s.bool(), 0.0)
        left = torch.where(s.bool(), int(at.rest(t, 2)), (left - 1).clamp(min=0))
        total = total + net.fc2(s)
    return total / STEPS


def resting_loop(net: Net, x: Tensor, at: At) -> Tensor:
    """A loop of neurons that rest: two rests of which the later one counts, as clocks."""
    v, s, left, total = zeros(x), zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        free = 1 - torch.sign(left)
        v = free * at.potential(t, at.decay(t, 0.75) * v + net.fc1(x) + net.rec(s))
        s = fire(v - at.threshold(t, 1.0))
        v = v * (1 - s)
        left = torch.clamp_min(left - 1, 0) + at.rest(t, 2.0) * s
        total = total + net.fc2(s)
    return total / STEPS


def integrates_at_rest(net: Net, x: Tensor, at: At) -> Tensor:
    """Spikes alone are masked while the rest lasts: the potential goes on."""
    v, left, total = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        v = at.decay(t, 0.75) * v + net.fc1(x)
        s = fire(v - 1.0) * (left == 0)
        v = v * (1 - s)
        left = (1 - s) * torch.relu(left - 1) + s * 2.0
        total = total + net.fc2(s)
    return total / STEPS


def counts_again(net: Net, x: Tensor, at: At) -> Tensor:
    """What a resting neuron would have fired sets its counter again."""
    v, left, total = zeros(x), zeros(x), zeros(x, 3)
    for _ in range(STEPS):
        new = 0.75 * v + net.fc1(x)
        fired, free = fire(new - 1.0), (left == 0).float()
        v = free * new * (1 - fired)
        left = (1 - fired) * torch.relu(left - 1) + fired * 2.0
        total = total + net.fc2(fired * free)
    return total / STEPS


def heard_at_rest(net: Net, x: Tensor, at: At) -> Tensor:
    """What a resting neuron would have fired is heard a step later."""
    v, left, told, total = zeros(x), zeros(x), zeros(x), zeros(x, 3)
    for _ in range(STEPS):
        new = 0.75 * v + net.fc1(x) + net.rec(told)
        told, free = fire(new - 1.0), (left == 0).float()
        s = told * free
        v = free * new * (1 - s)
        left = (1 - s) * torch.relu(left - 1) + s * 2.0
        total = total + net.fc2(s)
    return total / STEPS


def silenced_by_others(net: Net, x: Tensor, at: At) -> Tensor:
    """A neuron of another layer silences it for two steps."""
    v, u, left, total = zeros(x), zeros(x), zeros(x), zeros(x, 3)
    for _ in range(STEPS):
        u = torch.where(left > 0, torch.zeros_like(u), 0.5 * u + net.rec(net.fc1(x)))
        z = fire(u - 1.0)
        u = u * (1 - z)
        v = 0.75 * v + net.fc1(x)
        s = fire(v - 1.0) * (left == 0).float()
        v = v * (1 - s)
        left = torch.where(z > 0, torch.full_like(left, 2.0), (left - 1).clamp(min=0))
        total = total + net.fc2(s)
    return total / STEPS


RESTING = (counted_down, masked_spikes, whole_counter, resting_loop)
BUSY = (integrates_at_rest, counts_again, heard_at_rest, silenced_by_others)
"""Which are refused."""
