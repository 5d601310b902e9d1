"""The standard encoding, as the literature has it: a binary for every neuron and step, and big-M rows.

    l + (θ − l)·s ≤ v ≤ θ + (h − θ)·s,        v[t] = λ·u[t−1] + a[t]·I[t],
    hard reset u = v·(1 − s):  v − h·s ≤ u ≤ v − l·s,  l·(1 − s) ≤ u ≤ h·(1 − s),

with M from the per-step intervals [l, h]. It is the baseline that
"milp" is measured against, and decides what that does, in more time.
"""

import numpy as np
import torch
from torch import Tensor

from spikecert.certify.bounds.intervals import StepSpikes, interval_spikes
from spikecert.certify.bounds.signals.membrane import Drive, drive
from spikecert.certify.milp.encoding import Layers
from spikecert.certify.milp.program import Closing, EncodedLayer, Expressions, Potentials, Program, array
from spikecert.certify.verifiers import Milp
from spikecert.certify.verifiers.trains import INTERVAL
from spikecert.models.rules import Leaky, plain


def big_m_spikes(program: Program, layer: EncodedLayer, closing: Closing) -> tuple[Expressions, ...]:
    """Add v, s and, for a hard reset, u of each neuron and step."""
    found, rule = layer.spikes, layer.rule
    assert isinstance(found, StepSpikes)
    assert plain(rule)
    drives = drive(layer.current, rule, layer.rounding)
    known = interval_potentials(found, drives, rule)
    lower, upper = (array(end.flatten(1)) for end in (known.lower, known.upper))
    own = array(drives.slack.flatten())
    residue, spikes = Expressions.fixed(np.zeros(len(own))), []
    for t, factor in enumerate(layer.scale):
        rounding = abs(factor) * layer.slack + own
        slack, tie = closing.slack(rounding), closing.tie(rounding * found.num_steps)
        low, high = lower[t] - closing.slack(own), upper[t] + closing.slack(own)
        potential, spike = program.variables(low, high), program.binaries(len(own))
        moved = residue.scaled(rule.decay) + layer.driven(t, spikes).scaled(factor)
        program.constrain(potential - moved, -slack, slack)
        program.constrain(potential - spike.scaled(drives.perhaps - tie - low), lower=low)
        silent_high = drives.surely + tie
        program.constrain(potential - spike.scaled(high - silent_high), upper=silent_high)
        residue = _after(program, potential, spike, low, high, rule)
        spikes.append(spike)
    return tuple(spikes)


def _after(
    program: Program,
    potential: Expressions,
    spike: Expressions,
    low: np.ndarray,
    high: np.ndarray,
    rule: Leaky,
) -> Expressions:
    """Return the potential after the reset."""
    if rule.reset == "none":
        return potential
    if rule.reset == "subtract":
        return potential - spike.scaled(rule.drop)
    residue = program.variables(np.minimum(low, 0.0), np.maximum(high, 0.0))
    program.constrain(residue - potential + spike.scaled(high), lower=0.0)
    program.constrain(residue - potential + spike.scaled(low), upper=0.0)
    program.constrain(residue + spike.scaled(low), lower=low)
    program.constrain(residue + spike.scaled(high), upper=high)
    return residue


def interval_potentials(found: StepSpikes, drives: Drive, rule: Leaky) -> Potentials:
    """Return the intervals of the per-step recursion, in which an open spike joins both cases of the reset."""
    certain, possible = found.box.lower > 0, found.box.upper > 0
    low = high = torch.zeros_like(drives.lower[0])
    lower, upper = [], []
    for t in range(len(drives.lower)):
        low = rule.decay * low + drives.lower[t]
        high = rule.decay * high + drives.upper[t]
        lower.append(low)
        upper.append(high)
        low, high = _joined(low, high, certain[t], possible[t], drives, rule)
    return Potentials(torch.stack(lower), torch.stack(upper), certain, possible)


def _joined(
    low: Tensor, high: Tensor, certain: Tensor, possible: Tensor, drives: Drive, rule: Leaky
) -> tuple[Tensor, Tensor]:
    """Return the hull of what the reset makes of both cases."""
    if rule.reset == "none":
        return low, high
    zero = torch.zeros_like(low)
    drop = rule.drop
    fired = (zero, zero) if rule.reset == "zero" else (low.clamp_min(drives.perhaps) - drop, high - drop)
    silent_low = torch.where(certain, torch.inf, low)
    silent_high = torch.where(certain, -torch.inf, high.clamp_max(drives.surely))
    silent_high = torch.where(possible, silent_high, high)
    return (
        silent_low.minimum(torch.where(possible, fired[0], torch.inf)),
        silent_high.maximum(torch.where(possible, fired[1], -torch.inf)),
    )


BIG_M = Milp(bounds=INTERVAL, layers=Layers(interval_spikes, big_m_spikes), name="milp (big_m)")
"""The verifier "milp" with this encoding, on top of "interval"."""
