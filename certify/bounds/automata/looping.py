"""Spikes of layers that hear themselves, of neurons whose rule declares its automaton.

**The start**, from nothing: `walked` asks for a step's current when the spikes of the step before are known. Where
their box holds s[t−1], the box of c[t] = x[t] + (V·s[t−1] + b), or of what a synapse makes of it, holds the run's
current (recurrent.py), and the states of the automaton that are reached by currents in it hold the run's state: by
induction over t from s[0] = 0 the box of spikes holds s[t]. What rounding adds at a step is that of the widest
current under any spikes at all.

**A pass**: as in recurrent.py what holds all currents of the layer under spikes that are known gives spikes that
hold, by whatever finds the spikes of such neurons under a current.
"""

from collections.abc import Callable

import torch

from ....models.circuit import Recurred
from ....models.rules import DeclaredRule, Range
from ...rounding import Rounding
from ..signals.affine import affine_map
from ..signals.box import Box
from ..signals.membrane import scaled_box
from ..signals.signals import Signal
from ..trains.recurrent import PASSES, DelayedSpikes, FeedbackLoop
from .paths import PathTrains
from .reachable import slack_of, walked


def looping_spikes(
    below: Signal, node: Recurred, spikes: Callable[[Signal], Signal], rounding: Rounding
) -> tuple[Signal, Signal]:
    """Return what is known of the currents of a layer that hears itself, and of the spikes under them.

    Args:
        below: x, what comes from other layers.
        node: the layer.
        spikes: what finds the spikes of its neurons under a current.
        rounding: the dtypes of the run and of the bound.
    """
    assert isinstance(node.rule, DeclaredRule)
    loop = FeedbackLoop(below, affine_map(node.feedback, rounding.bound), rounding, node.filter)
    found: Signal = from_nothing(loop, node.rule)
    box = found.steps()
    current = loop.current(DelayedSpikes(found, box))
    for _ in range(PASSES):
        current = loop.current(DelayedSpikes(found, box))
        found = spikes(current)
        box = box.intersection(found.steps())
    return current, found


def from_nothing(loop: FeedbackLoop, rule: DeclaredRule) -> PathTrains:
    """Return the trains of neurons of `rule`, of currents that are known step by step."""
    free, steps = loop.free, loop.below.num_steps
    box = free.steps()
    factors = box.lower.new_tensor(rule.factors(steps))
    scaled = scaled_box(box, factors)
    follow, slack = loop.follow(), slack_of(rule, free, scaled, loop.rounding)

    def entering(t: int, before: Box) -> Range:
        """Return where the current of a step lies behind spikes of the step before in a box."""
        found = scaled_box(follow(t, before).box, factors[t : t + 1])
        return Range(found.lower - slack.current, found.upper + slack.current)

    return walked(rule, slack, entering, torch.zeros_like(scaled.lower[0]), steps)
