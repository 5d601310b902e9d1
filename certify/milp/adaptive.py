"""A layer of adaptive thresholds: B[t] = θ + β·Σ_{k<t} ρ^{t−1−k}·s[k] is linear in the spikes before.

As in steps.py v[t] = r + w, its part in silence and its part at a spike, with r = 0 at a spike and w = 0 in
silence. Since B > 0, **r ≤ B and w ≥ B − max B·(1 − s)** say v ≤ B in silence and v ≥ B at a spike: no product.
The run's a[t] strays from the sum of its own spikes by at most E·Σ_{k<T} ρ^k (certify/rounding/recursion.py).
"""

import functools
import operator

import numpy as np

from ...models.elements.adaptive import Adaptive
from ..bounds.automata.paths import PathTrains
from ..rounding import power_sum
from .closing import Closing
from .layer import EncodedLayer, array
from .program import Expressions, Program
from .steps import part_of


def adaptive_spikes(
    program: Program, layer: EncodedLayer, found: PathTrains, rule: Adaptive, closing: Closing
) -> tuple[Expressions, ...]:
    """Add r, w and s of each neuron and step; decided spikes are constants of the program."""
    own = layer.rule
    box, steps, allowance = layer.current.steps(), found.num_steps, found.allowance
    error = array(allowance.current.expand_as(box.lower[0]).flatten())
    drift = float(allowance.tie) + rule.adaptation * float(allowance.numbers[1]) * power_sum(rule.fading, steps)
    rounding = layer.slack + error
    wide = closing.tie(rounding * steps + drift) + (drift if closing.closed else 0.0)
    spikes: list[Expressions] = []
    residue = Expressions.fixed(np.zeros(len(error)))
    for t in range(steps):
        (left_low, raised_low), (left_high, raised_high) = (
            array(end[t].flatten(1)) for end in (found.known.lower, found.known.upper)
        )
        low, high = (array(end[t % len(end)].flatten()) for end in (box.lower, box.upper))
        low = own.decay * left_low + low - error - closing.slack(error)
        high = own.decay * left_high + high + error + closing.slack(error)
        least, most = (own.threshold + rule.adaptation * raised for raised in (raised_low, raised_high))
        spike = program.variables(array(found.box.lower[t].flatten()), array(found.box.upper[t].flatten()), True)
        quiet = Expressions.fixed(np.ones(len(error))) - spike
        silent = part_of(program, low, np.minimum(high, most + wide), quiet)
        firing = part_of(program, np.minimum(least - wide, high), high, spike)
        raised = (before.scaled(rule.adaptation * rule.fading ** (t - 1 - k)) for k, before in enumerate(spikes))
        limit = functools.reduce(operator.add, raised, Expressions.fixed(np.full(len(error), own.threshold)))
        program.constrain(limit - silent, lower=-wide)
        program.constrain(firing - limit + quiet.scaled(most), lower=-wide)
        potential, slack = silent + firing, closing.slack(rounding)
        program.constrain(potential - residue.scaled(own.decay) - layer.driven(t, spikes), -slack, slack)
        residue = silent if own.reset == "zero" else potential - spike.scaled(own.drop)
        spikes.append(spike)
    return tuple(spikes)
