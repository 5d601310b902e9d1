"""A layer whose current varies: one binary for each open spike, in the convex hull of its two cases.

v[t] = λ·u[t−1] + a[t]·I[t] is split into r + w, its part in silence and its part at a spike:

    l(1 − s) ≤ r ≤ min(h, θ)·(1 − s),      θ·s ≤ w ≤ h·s,      [l, h] the proven box of v[t],

and u[t] = r (hard reset), r + w − ds (subtracting) or r + w (none): no product v·(1 − s) is left to linearise.

A neuron that rests has ρ[t] = Σ_{k ≤ R} s[t−k] ∈ {0, 1}: at rest it is silent and v = 0, so that 1 − s − ρ takes
the place of 1 − s, and what v is made of holds where ρ = 0: |v − λ·u − a·I| ≤ M·ρ, M = max |a·I|, as u = 0 at
rest.
"""

import functools
import operator

import numpy as np

from ..bounds.trains.train_graph import GraphTrains
from .closing import Closing
from .layer import EncodedLayer, array
from .potentials import graph_potentials
from .program import Expressions, Program


def step_spikes(
    found: GraphTrains, program: Program, layer: EncodedLayer, closing: Closing
) -> tuple[Expressions, ...]:
    """Add r, w and s of each neuron and step; decided spikes are constants of the program."""
    known, drives, rule = graph_potentials(found), found.drives, layer.rule
    lower, upper = (array(end.flatten(1)) for end in (known.lower, known.upper))
    certain, possible = (array(mask.flatten(1)) for mask in (known.certain, known.possible))
    own = array(drives.slack.flatten())
    nothing, spikes = Expressions.fixed(np.zeros(len(own))), []
    residue = Expressions.fixed(np.full(len(own), layer.start))
    for t, factor in enumerate(layer.scale):
        rounding = abs(factor) * layer.slack + own
        tie = closing.tie(rounding * found.num_steps)
        low, high = lower[t] - closing.slack(own), upper[t] + closing.slack(own)
        spike = program.variables(certain[t], possible[t], integer=True)
        resting = functools.reduce(operator.add, spikes[max(0, t - layer.rest) : t], nothing)
        silent_high = np.minimum(high, drives.surely + tie)
        active = Expressions.fixed(np.ones(len(own))) - spike - resting
        silent = part_of(program, low, silent_high, active)
        firing = part_of(program, np.minimum(drives.perhaps - tie, high), high, spike)
        drive = layer.driven(t, spikes).scaled(factor)
        slack = closing.slack(rounding)
        potential = silent + firing
        moved = potential - residue.scaled(rule.decay) - drive
        if layer.rest:
            program.constrain(active, lower=0.0)
            reach = array(drives.upper[t].maximum(-drives.lower[t]).flatten()).clip(0.0) + slack
            program.constrain(moved + resting.scaled(reach), lower=-slack)
            program.constrain(moved - resting.scaled(reach), upper=slack)
        else:
            program.constrain(moved, -slack, slack)
        residue = silent if rule.reset == "zero" else potential
        if rule.reset == "subtract":
            residue = potential - spike.scaled(rule.drop)
        spikes.append(spike)
    return tuple(spikes)


def part_of(program: Program, low: np.ndarray, high: np.ndarray, active: Expressions) -> Expressions:
    """Add variables in [low, high] where `active` is 1, and 0 where it is 0."""
    part = program.variables(np.minimum(low, 0.0), np.maximum(high, 0.0))
    program.constrain(part - active.scaled(low), lower=0.0)
    program.constrain(active.scaled(high) - part, lower=0.0)
    return part
