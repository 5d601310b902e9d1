"""What a readout makes of the last signal of a program.

    sums over time    Σ_t row[t]·x[t]
    "largest"         max_t z[t], a max pool over time of such sums
    "first"           −τ = −(1 + Σ_t q[t]),  q[t] = Π_{k≤t} (1 − s[k]):
                      q[t] ≤ q[t−1],  q[t] ≤ 1 − s[t],  q[t] ≥ q[t−1] − s[t],  so that q is 0 or 1 where s is

How far the run may be: as its last signal, by the weights, and by the arithmetic of readouts (certify/rounding);
a maximum strays no farther than what it is of, and −τ is exact.
"""

from dataclasses import dataclass

import numpy as np

from ...models.circuit import Circuit
from ..bounds.propagation import logit_steps
from ..bounds.readouts import integrating_slack, readout_rows
from ..bounds.signals.signals import Signal
from ..rounding import Rounding, reading_slack
from .pooled import PooledEntries, WindowPairs
from .program import Closing, Expressions, Program, array, stacked, weighted


@dataclass(frozen=True)
class LastSignal:
    """What a readout reads: what is known of it, its expressions over time, how far the run may be from these."""

    signal: Signal
    steps: tuple[Expressions, ...]
    slack: np.ndarray


def read_logits(
    program: Program, circuit: Circuit, last: LastSignal, closing: Closing
) -> tuple[Expressions, np.ndarray]:
    """Return the logits, and how far the run's may be from them, (classes,) each."""
    if circuit.read.readout == "first":
        return _first(program, last), np.zeros_like(last.slack)
    rounding = Rounding.of(circuit)
    rows = readout_rows(circuit, last.signal.magnitude().double())
    box = logit_steps(last.signal, rows, rounding)
    own = reading_slack(box.magnitude, rounding)
    if circuit.read.rule is not None:
        own = own + integrating_slack(last.signal, rows, rounding)
    slack = last.slack * array(rows.abs().sum(1))[:, None] + array(own.flatten(1))
    steps = [weighted(last.steps, array(row)) for row in rows]
    if len(steps) == 1:
        return steps[0], slack[0]
    wider = closing.slack(slack)
    ends = array(box.lower.flatten(1)) - wider, array(box.upper.flatten(1)) + wider
    return _largest(program, steps, ends, closing), slack.max(0)


def _largest(
    program: Program, steps: list[Expressions], ends: tuple[np.ndarray, np.ndarray], closing: Closing
) -> Expressions:
    """Return the maximum over time of each class, given both ends of each step's expressions, (T, classes)."""
    entries, classes = np.arange(ends[0].size), ends[0].shape[1]
    windows = WindowPairs(entries % classes, entries, classes)
    return PooledEntries(stacked(steps), ends[0].ravel(), ends[1].ravel(), windows).largest(
        program, closing, False
    )


def _first(program: Program, last: LastSignal) -> Expressions:
    """Add q[t], step by step, and return −τ."""
    nothing = np.zeros_like(last.slack)
    silent = total = ones = Expressions.fixed(nothing + 1.0)
    for t in range(last.signal.num_steps):
        spike = last.steps[t % len(last.steps)]
        before, silent = silent, program.variables(nothing, nothing + 1.0)
        program.constrain(before - silent, lower=0.0)
        program.constrain(ones - spike - silent, lower=0.0)
        program.constrain(silent + spike - before, lower=0.0)
        total = total + silent
    return total.scaled(-1.0)
