"""The standard encoding, as the literature has it: a binary for every neuron and step, and big-M rows.

    l + (θ − l)·s ≤ v ≤ θ + (h − θ)·s,        v[t] = λ·u[t−1] + a[t]·I[t],
    hard reset u = v·(1 − s):  v − h·s ≤ u ≤ v − l·s,  l·(1 − s) ≤ u ≤ h·(1 − s),

with M from the per-step intervals [l, h]. It is the baseline that the other encoding is measured against.
"""

import numpy as np

from ..bounds.intervals.interval import StepSpikes
from ..bounds.signals.membrane import drive
from .closing import Closing
from .layer import EncodedLayer, array
from .potentials import interval_potentials
from .program import Expressions, Program


def big_m_spikes(program: Program, layer: EncodedLayer, closing: Closing) -> tuple[Expressions, ...]:
    """Add v, s and, for a hard reset, u of each neuron and step."""
    found, rule = layer.found, layer.rule
    assert isinstance(found, StepSpikes)
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
        residue = _after(program, potential, spike, low, high, layer)
        spikes.append(spike)
    return tuple(spikes)


def _after(
    program: Program,
    potential: Expressions,
    spike: Expressions,
    low: np.ndarray,
    high: np.ndarray,
    layer: EncodedLayer,
) -> Expressions:
    """Return the potential after the reset."""
    rule = layer.rule
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
