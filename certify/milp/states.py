"""A layer of any declared neurons: further states as variables, rests, starts, floors, several spikes a step.

As in program.py v[t] = r + w, its part in silence and its part at a spike, with r = 0 at a spike and w = 0 in
silence. The threshold B is an expression in the states z. With least ≤ B ≤ most,

    r ≤ B + max(0, −least)·s,      w ≥ B − most·(1 − s)

say v ≤ B in silence and v ≥ B at a spike; a product z·s is a variable p within z's ends, times s, of p and of z −
p, times 1 − s; max(u, f) is a variable y ≥ u, f that a binary q holds at u or at f: no product is left.

Up to N spikes a step are one integer s, with binaries q = [s ≥ 1] and m = [s = N]: 1 ≤ s where q, s ≤ N − 1 but
where m, and of u = v − d·s

    u ≥ B − d − M·(1 − q),      u ≤ B + M·m

say what n of them do: u ≥ B − d where there is any, and B + (N − 1)·d ≤ v for N; u ≤ B unless all N are there.

**Rounding.** The run's own states are these variables. From them a step's exact v − B is within the tie of what
the run compares, and each number behind the exact step within E of the run's (certify/rounding.py). What
comes in is v less its other terms: the exact current within the layer's own slack of its expression.
"""

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...models.linear_neuron import LinearNeuron, linear
from ..bounds.automata.paths import PathTrains
from ..rounding import step_error
from .program import Closing, EncodedLayer, Expressions, Program, array, part_of

Ends = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _Numbers:
    """The numbers of a layer's states before a step.

    Attributes:
        values: each, the potential first.
        ends: where they lie.
    """

    values: tuple[Expressions, ...]
    ends: tuple[Ends, ...]

    def sum(self, factors: Sequence[np.ndarray]) -> Expressions:
        """Return a sum of these numbers times factors."""
        return functools.reduce(operator.add, map(Expressions.scaled, self.values, factors))

    def reach(self, factors: Sequence[np.ndarray]) -> Ends:
        """Return where such a sum lies."""
        low = [np.minimum(low * own, high * own) for (low, high), own in zip(self.ends, factors, strict=True)]
        high = [np.maximum(low * own, high * own) for (low, high), own in zip(self.ends, factors, strict=True)]
        return functools.reduce(operator.add, low), functools.reduce(operator.add, high)


def state_spikes(
    found: PathTrains, program: Program, layer: EncodedLayer, closing: Closing
) -> tuple[Expressions, ...]:
    """Add the states and spikes of each neuron and step; decided spikes are constants of the program."""
    assert linear(layer.rule)
    return NeuronSteps(program, layer, found, layer.rule, closing).spikes()


@dataclass(frozen=True)
class NeuronSteps:
    """Writes the steps of a layer.

    Attributes:
        program, layer, found, rule, closing: of the layer; `found` tells where its states lie.
    """

    program: Program
    layer: EncodedLayer
    found: PathTrains
    rule: LinearNeuron
    closing: Closing

    def spikes(self) -> tuple[Expressions, ...]:
        """Add each neuron's variables and rows; decided spikes are constants of the program."""
        size, spikes = len(self._error), list[Expressions]()
        start, none = np.full(size, self.rule.start), np.zeros(size)
        lost = step_error(0.0, 0.0, 1.0, self.layer.rounding) * np.abs(start) * self.closing.closed
        first = self._strayed(Expressions.fixed(start), lost, start, start)
        states = _Numbers((first, *[Expressions.fixed(none)] * self.rule.others), ())
        for t in range(self.found.num_steps):
            low, high = (array(end[t].flatten(1)) for end in (self.found.known.lower, self.found.known.upper))
            if t == 0:
                low, high = low - lost, high + lost
            states = _Numbers(states.values, tuple(zip(low, high, strict=True)))
            spike, left = self._step(t, states, spikes)
            states = _Numbers(left, states.ends)
            spikes.append(spike)
        return tuple(spikes)

    def _constants(self, t: int) -> dict[str, np.ndarray]:
        """Return the constants of each neuron at a step, behind the axes of w."""
        return self._laid[t if self.rule.steps else 0]

    @functools.cached_property
    def _laid(self) -> list[dict[str, np.ndarray]]:
        like = self.layer.current.steps().lower[:1].double()
        flat = -max(1, like.dim() - 2)
        told = [self.rule.laid(like, t) for t in range(max(1, self.rule.steps))]
        return [
            {name: array(each.flatten(flat) if each.numel() else each) for name, each in c.items()} for c in told
        ]

    def _flat(self, numbers: float | torch.Tensor) -> np.ndarray:
        return array(torch.as_tensor(numbers).expand_as(self.layer.current.steps().lower[0]).flatten())

    @functools.cached_property
    def _error(self) -> np.ndarray:
        return self._flat(self.found.allowance.current)

    @functools.cached_property
    def _lost(self) -> np.ndarray:
        """Return how far the run's a·I may be from its expressions."""
        return self.layer.slack * np.abs(self.layer.scale).max()

    @functools.cached_property
    def _strays(self) -> tuple[np.ndarray, ...]:
        """Return E of each number."""
        return tuple(map(self._flat, self.found.allowance.numbers))

    @functools.cached_property
    def _wide(self) -> np.ndarray:
        """Return how far past its threshold a potential may be."""
        tie, steps = self._flat(self.found.allowance.tie), self.found.num_steps
        drift = steps * sum(((self._lost + self._error), *self._strays))
        return self.closing.tie(drift + tie) + (tie if self.closing.closed else 0.0)

    def _step(
        self, t: int, states: _Numbers, spikes: list[Expressions]
    ) -> tuple[Expressions, tuple[Expressions, ...]]:
        """Return the spikes of a step, and the states behind it."""
        program, c, wide, size = self.program, self._constants(t), self._wide, len(self._error)
        box, held, slack = self.layer.current.steps(), (c["decay"], *-c["drain"]), self.closing.slack(self._error)
        factor = self.layer.scale[t]
        entering = [array(end[t % len(end)].flatten()) * factor for end in (box.lower, box.upper)]
        entering = entering if factor >= 0 else entering[::-1]
        low, high = (end + sign * (self._error + slack) for end, sign in zip(entering, (-1.0, 1.0), strict=True))
        low, high = (own + end for own, end in zip(states.reach(held), (low, high), strict=True))
        raises = (np.zeros(size), *c["rise"])
        least, most = (c["threshold"] + end for end in states.reach(raises))
        certain, possible = (array(end[t].flatten()) for end in (self.found.box.lower, self.found.box.upper))
        spike, one = program.variables(certain, possible, True), Expressions.fixed(np.ones(size))
        resting = functools.reduce(operator.add, spikes[max(0, t - self.rule.rest) : t], one - one)
        limit = states.sum(raises) + Expressions.fixed(c["threshold"])
        if self.rule.most > 1:
            silent = potential = self._several(t, spike, limit, (low, high), (least, most))
        else:
            silent = part_of(program, low, np.minimum(high, most + wide), one - spike - resting)
            firing = part_of(program, np.minimum(least - wide, high), high, spike)
            potential = silent + firing
            if self.rule.others:
                program.constrain(limit + spike.scaled(np.maximum(-least, 0.0)) - silent, lower=-wide)
                program.constrain(firing - limit + (one - spike).scaled(most), lower=-wide)
        before = states.sum(held)
        driven = self.layer.driven(t, spikes).scaled(factor)
        self._drive(potential - before - driven, one - spike - resting, resting, entering)
        left = self._floored(c, silent if self.rule.reset == "zero" else potential, spike, states, (low, high))
        return spike, (left, *self._others(t, states, potential, potential - before, spike))

    def _several(self, t: int, spike: Expressions, limit: Expressions, reach: Ends, limits: Ends) -> Expressions:
        """Return the potentials of neurons that may fire several times at a step."""
        program, drop, wide, count = self.program, self._constants(t)["reset_amount"], self._wide, self.rule.most
        (low, high), (least, most) = reach, limits
        potential, some, full = (
            program.variables(low, high),
            program.binaries(len(low)),
            program.binaries(len(low)),
        )
        left = potential - spike.scaled(drop)
        below = np.maximum(most - drop - low + np.abs(wide), 0.0)
        above = np.maximum(high - count * drop - least + np.abs(wide), 0.0)
        program.constrain(left - limit - some.scaled(below), lower=-wide - drop - below)
        program.constrain(limit + full.scaled(above) - left, lower=-wide)
        program.constrain(spike - some, lower=0.0)
        program.constrain(some.scaled(count) - spike, lower=0.0)
        program.constrain(spike - full.scaled(count), lower=0.0)
        program.constrain(spike - full, upper=count - 1.0)
        return potential

    def _drive(
        self, moved: Expressions, active: Expressions, resting: Expressions, entering: list[np.ndarray]
    ) -> None:
        """Let a potential be what it is made of, where its neuron does not rest."""
        slack = self.closing.slack(self._lost + self._error)
        if not self.rule.rest:
            self.program.constrain(moved, -slack, slack)
            return
        reach = np.maximum(np.abs(entering[0]), np.abs(entering[1])) + self._error + slack
        self.program.constrain(active, lower=0.0)
        self.program.constrain(moved + resting.scaled(reach), lower=-slack)
        self.program.constrain(moved - resting.scaled(reach), upper=slack)

    def _floored(
        self, c: dict[str, np.ndarray], left: Expressions, spike: Expressions, states: _Numbers, reach: Ends
    ) -> Expressions:
        """Return what a step leaves of a potential, given its part that no reset takes to 0."""
        low, high = np.minimum(reach[0], 0.0), np.maximum(reach[1], 0.0)
        if self.rule.reset == "subtract":
            left, taken = left - spike.scaled(c["reset_amount"]), self.rule.most * np.abs(c["reset_amount"])
            low, high = low - taken, high + taken
            for value, ends, rise in zip(states.values[1:], states.ends[1:], c["reset_rise"], strict=True):
                if rise.any():
                    left = left - self._product(value, ends, spike).scaled(rise)
                    most = np.abs(rise) * np.maximum(np.abs(ends[0]), np.abs(ends[1]))
                    low, high = low - most, high + most
        if self.rule.floor is not None:
            left = self._greater(left, low, high, self.rule.floor)
        return self._strayed(left, self._strays[0], low, np.maximum(high, self.rule.floor or 0.0))

    def _product(self, value: Expressions, ends: Ends, spike: Expressions) -> Expressions:
        """Return z·s."""
        part = part_of(self.program, *ends, spike)
        rest, quiet = value - part, Expressions.fixed(np.ones(len(ends[0]))) - spike
        slack = self.closing.slack(np.zeros(len(ends[0])))
        self.program.constrain(rest - quiet.scaled(ends[0]), lower=-slack)
        self.program.constrain(quiet.scaled(ends[1]) - rest, lower=-slack)
        return part

    def _greater(self, left: Expressions, low: np.ndarray, high: np.ndarray, floor: float) -> Expressions:
        """Return max(u, f)."""
        program, size, slack = self.program, len(low), self.closing.slack(np.zeros(len(low)))
        lowest, highest = np.minimum(low, floor), np.maximum(high, floor)
        found, kept = program.variables(np.full(size, floor), highest), program.binaries(size)
        program.constrain(found - left, lower=-slack)
        program.constrain(left - found - kept.scaled(floor - lowest), lower=lowest - floor - slack)
        program.constrain(kept.scaled(highest - floor) - found, lower=-floor - slack)
        return found

    def _strayed(self, value: Expressions, error: np.ndarray, low: np.ndarray, high: np.ndarray) -> Expressions:
        """Return what the run may hold of a number: itself where nothing is lost."""
        if not error.any():
            return value
        wide = error + self.closing.slack(error)
        found = self.program.variables(low - wide, high + wide)
        slack = self.closing.slack(error)
        self.program.constrain(found - value, -slack, slack)
        return found

    def _others(
        self, t: int, states: _Numbers, potential: Expressions, entering: Expressions, spike: Expressions
    ) -> list[Expressions]:
        """Return each w behind a step."""
        found, c = list[Expressions](), self._constants(t)
        for i in range(self.rule.others):
            own = states.sum((c["carry"][i], *c["fading"][i]))
            given = ((potential, "drive"), (entering, "hearing"), (spike, "jump"))
            heard = (x.scaled(c[name][i]) for x, name in given if c[name][i].any())
            made = functools.reduce(operator.add, heard, own)
            if t + 1 < self.found.num_steps:
                ends = (end[t + 1, i + 1].flatten() for end in (self.found.known.lower, self.found.known.upper))
                made = self._strayed(made, self._strays[i + 1], *map(array, ends))
            found.append(made)
        return found
