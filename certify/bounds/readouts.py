"""Readouts over time: as rows, logits = Σ_t row[t]·x[t], where they are sums; from those of each step elsewhere.

Potentials of neurons that never fire are u[t] = Σ_{k≤t} λ^{t−k}·a[k]·x[k]; their sum over time has the weights
a[k]·Σ_{t≥k} λ^{t−k}.

The largest. Let z_y and z_k be what two classes have over time, k's largest at step t*. Then

    max_t z_y[t] − max_t z_k[t] = max_t z_y[t] − z_k[t*] ≥ max(max_t L_y[t] − U_k[t*], D[t*]),

with ends L ≤ z ≤ U and D[t] ≤ z_y[t] − z_k[t]; so the margin is at least the least of that over all t*.

The first spike. C[t] = Σ_{k≤t} s[k] tells by which step a neuron surely, or perhaps, has fired: τ − 1 is the
number of steps with C[t] = 0, between those where it surely is and those where it may be.

Rounding. The run's potentials take 2T + 2 roundings, powers of λ rounded to its dtype T more, and a sum over time
T more: γ_{4T+8}·Σ|row|·max|x|, and what underflows, at most T times in each of T potentials. A maximum never
rounds.
"""

import torch
from torch import Tensor

from ...models.circuit import Circuit
from ...models.elements.integers import Stepped, check_within
from ...models.rules import Leaky, plain
from ..rounding import Rounding, integration_slack
from .signals.box import Box
from .signals.signals import Signal, filter_rows


def readout_row(circuit: Circuit, like: Tensor) -> Tensor:
    """Return a readout that is a sum over time as one row, (1, T).

    Raises:
        ValueError: for one that is none.
    """
    if circuit.read.readout in ("largest", "first"):
        raise ValueError(f"readout: got {circuit.read.readout!r}, which is no sum over time")
    return readout_rows(circuit, like)


def readout_rows(circuit: Circuit, like: Tensor) -> Tensor:
    """Return the rows that a readout reads: one, (1, T), or of "largest" one for each step, (T, T)."""
    steps, rule, readout = circuit.num_steps, circuit.read.rule, circuit.read.readout
    if rule is None:
        each = (
            torch.eye(steps) if readout == "largest" else torch.full((1, steps), 1.0 / steps, dtype=torch.float64)
        )
        return each.to(like)
    if isinstance(rule, Stepped):
        rule = Leaky(1.0, reset="none")
    assert plain(rule)
    rows = filter_rows(steps, rule)
    rows = {"potential": rows[-1:], "summed": rows.sum(0, keepdim=True)}.get(readout, rows)
    return rows.to(like)


def read_leak(circuit: Circuit) -> float:
    """Return how far potentials of integer neurons may be from their currents' sum: a unit a step, or 0."""
    rule = circuit.read.rule
    return float(circuit.num_steps) if isinstance(rule, Stepped) and not rule.leak.keeps else 0.0


def check_whole_readout(rule: Stepped, last: Signal) -> None:
    """Raise OverflowError where potentials that are read may be cut.

    Until one is, v[t] is Σ_{k≤t} x[k], or at most t units from it where they leak. So if these sums stay within
    the width, with t units to spare, none ever is.
    """
    steps = last.num_steps
    rule.admit(last.magnitude(), steps)
    box = last.steps()
    check_within(float(box.magnitude.max()), rule.current_top, "a sum of currents", "wrap")
    leak = 0 if rule.leak.keeps else steps
    apart = steps // len(box.lower) * box.magnitude.sum(0)
    if float(apart.max()) + leak <= rule.top:  # each step for itself is enough
        return
    sums = last.combine(torch.ones(steps, steps, dtype=torch.float64).tril().to(box.lower.device))
    check_within(float(sums.magnitude.max()) + leak, rule.top, "a potential that is read", "saturate")


def integrating_slack(last: Signal, rows: Tensor, rounding: Rounding) -> Tensor:
    """Return how far the run's potentials, or their sum, may be from the rows' sums of its own x."""
    magnitude = last.magnitude()
    weight = rows.abs().sum(1).reshape(-1, *([1] * magnitude.dim()))
    return integration_slack(magnitude, weight, last.num_steps, rounding)


def largest_margins(differences: Tensor, steps: Box, labels: Tensor) -> Tensor:
    """Return lower bounds of max_t z_y[t] − max_t z_k[t], (batch, classes).

    Args:
        differences: lower bounds of z_y[t] − z_k[t], (T, batch, classes).
        steps: ends of z[t], (T, batch, classes).
        labels: y, (batch,).
    """
    best = steps.lower.amax(0).gather(1, labels[:, None])
    return (best - steps.upper).maximum(differences).amin(0)


def first_spikes(spikes: Signal) -> tuple[Tensor, Tensor]:
    """Return the ends of −τ, (batch, classes) each: exact in any dtype that holds T + 1."""
    rows = torch.ones(spikes.num_steps, spikes.num_steps, dtype=torch.float64).tril()
    counts = spikes.combine(rows.to(spikes.magnitude().device))
    late, early = (counts.lower < 0.5).sum(0), (counts.upper < 0.5).sum(0)
    return -(1.0 + late.double()), -(1.0 + early.double())
