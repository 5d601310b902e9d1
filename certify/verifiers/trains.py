"""The two verifiers that only propagate: per-step intervals, and exact spike trains with windows on top."""

from dataclasses import dataclass

from ...models.circuit import Circuit, Fired
from ...models.rules import Leaky
from ..bounds.intervals.interval import interval_spikes
from ..bounds.signals.signals import SpikeBound
from ..bounds.trains.conserved import conserved_spikes
from ..bounds.trains.trains import step_spikes, window_spikes
from .bound import BoundVerifier

FEW_STEPS = 10
"""Up to so many steps, windows of all lengths are cheap enough to be tried behind F9."""


@dataclass(frozen=True)
class TrainsVerifier(BoundVerifier):
    """What is exact of each neuron's trains, and windows.

    Where a layer subtracts, F9 proves nearly all that windows of all lengths (F5) do, and far more; over few steps
    these have the last word.
    """

    def stages_for(self, made: Circuit) -> tuple[SpikeBound, ...]:
        """Return the stages, and windows of all lengths behind F9 where they are cheap."""
        if made.whole:  # one automaton, exact, whatever the stage
            return self.stages[:1]
        fired = (node.rule for node in made.nodes if isinstance(node, Fired))
        subtracts = any(isinstance(rule, Leaky) and rule.reset == "subtract" for rule in fired)
        return (*self.stages, window_spikes) if subtracts and made.num_steps <= FEW_STEPS else self.stages


INTERVAL = BoundVerifier("interval", (interval_spikes,))
TRAINS = TrainsVerifier("trains", (step_spikes, conserved_spikes))
