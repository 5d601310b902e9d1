"""Any property, as verifiers ask it: rows v = k·y + e·x + o that must be positive, clause by clause.

A row is an inequality c·y + d·x + e·y⁰ + a ≤ 0 turned round, v = −c·y − d·x + o with o = −(e·y⁰ + a): it holds
iff v ≥ 0, or v > 0 where it is strict. A property holds at a run iff each clause has a row that does. A clause is
proven over a set where one row is bounded from below well enough, and by parts of the set where each part has such
a row.

Exactness. c and d are float64, y is the run's own output, x the input as given, and o a fraction that is held
exactly, with float64 numbers `offset` ≤ o ≤ `above` around it. `values` computes v in float64; where that is
within its rounding error of 0 the row is computed again in fractions: its sign is exact, and so is what `replays`
says.

Bounds. Ends of k·y are ends of y in the run, with every rounding of the run in them (propagation.py), times k, or
the same of (k·W)·s behind a last dense map. Ends of e·x are exact over the box of the set, and y and x are taken
as independent. What float64 loses here is at most γ_n of the sum of all moduli (Higham, 2002), n the number of
products; no product underflows to more than `VANISHED` times a sum of sizes, since moduli of coefficients are 0 or
at least 1e-100.

Counts. Outputs of readout "spikes" are fl(c/T) for an integer c, and those of "first" integers: their ends are
moved to such numbers, as the run holds them. Where the ends meet, y is known exactly, and so is a row without
inputs: its sign is computed in fractions. So a tie exactly on a row is decided where y is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor, nn

from ...models.circuit import Circuit
from ...models.networks import SpikingNetwork
from ..bounds.prices.prices import Specifications
from ..bounds.propagation import RowEnds, known_rows, logit_bounds, signals_of
from ..bounds.signals.signals import Signal, SpikeBound
from ..bounds.signals.windows import Box
from ..bounds.trains.trains import step_spikes
from ..replay import TOGETHER, Runs
from ..ties import ARGMAX, STRICT
from .forms import Clauses, Inequality, Property, check_clauses

TINY = torch.finfo(torch.float64).tiny
UNIT = torch.finfo(torch.float64).eps
VANISHED = 2.0**-600
"""What underflow may take of a row, for each unit of a sum of sizes: far more than 2^-1022 times any weight."""


@dataclass(frozen=True, eq=False)
class RowGoal:
    """The rows of Q questions, one for each sample: R rows each, in the same clauses.

    Attributes:
        outputs: k, (Q, R, classes), float64.
        inputs: e, (Q, R, *sample), or None where no row holds inputs.
        offset, above: float64 numbers around o, (Q, R).
        exact: o itself.
        strict: whether a row must be above 0, (Q, R).
        clause: the clause of each row, (R,), by rising number from 0.
    """

    outputs: Tensor
    inputs: Tensor | None
    offset: Tensor
    above: Tensor
    exact: tuple[tuple[Fraction, ...], ...]
    strict: Tensor
    clause: Tensor

    @staticmethod
    def of(prop: Property, own: Tensor, shape: Sequence[int], device: torch.device) -> "RowGoal":
        """Return the rows of a property for samples with outputs `own`, (Q, classes), of inputs of a shape.

        Raises:
            ValueError: for an output or an input that is not there, or no clause.
        """
        asked = [prop.clauses(row) for row in own.tolist()]
        for clauses in asked:
            check_clauses(clauses)
        sizes = [tuple(map(len, clauses)) for clauses in asked]
        if len(set(sizes)) != 1:
            raise ValueError("property: got clauses of other sizes for some samples, expected the same for all")
        rows = [_rows(clauses) for clauses in asked]
        size = 1
        for axis in shape:
            size *= axis
        outputs = torch.stack([_matrix([-1 * row.form for row in one], "outputs", own.shape[1]) for one in rows])
        inputs = torch.stack([_matrix([-1 * row.form for row in one], "inputs", size) for one in rows])
        exact = tuple(
            tuple(-_constant(row, values) for row in one) for one, values in zip(rows, own.tolist(), strict=True)
        )
        below, above = _around(exact)
        return RowGoal(
            outputs.to(device),
            inputs.unflatten(2, tuple(shape)).to(device) if bool((inputs != 0).any()) else None,
            below.to(device),
            above.to(device),
            exact,
            torch.tensor([[row.strict for row in one] for one in rows], device=device),
            torch.repeat_interleave(torch.arange(len(sizes[0])), torch.tensor(sizes[0])).to(device),
        )

    @property
    def ties(self) -> str:
        """Return what a verdict calls ties: "strict" where every row must be above 0, else "argmax"."""
        return STRICT if bool(self.strict.all()) else ARGMAX

    @property
    def clauses(self) -> int:
        """Return how many there are."""
        return int(self.clause[-1]) + 1

    # what verifiers ask of their columns

    def columns(self, lower: Tensor, labels: Tensor, width: int) -> Tensor:
        """Return what is known before any bound, (batch, R)."""
        return lower.expand(-1, len(self.clause)).clone()

    def holds(self, proven: Tensor) -> Tensor:
        """Return whether each clause has a proven row, (batch,)."""
        return self._clausewise(proven.double(), "amax").bool().all(1)

    def left(self, proven: Tensor) -> Tensor:
        """Return which rows belong to clauses without a proven row, (batch, R)."""
        return ~self._clausewise(proven.double(), "amax").bool()[:, self.clause]

    def together(self, column: int) -> list[int]:
        """Return the rows of one row's clause: one of them is enough."""
        return (self.clause == self.clause[column]).nonzero().flatten().tolist()

    def least(self, lower: Tensor) -> Tensor:
        """Return the least over clauses of their best row, (batch,).

        Its gradient is that of one clause: rows of ≤ and ≥ of one form would cancel out where both are least.
        """
        best = self._clausewise(lower, "amax")
        return best.gather(1, best.argmin(1, keepdim=True)).squeeze(1)

    def _clausewise(self, rows: Tensor, how: str) -> Tensor:
        """Return the greatest row of each clause, (batch, clauses); of columns that are one only, all of it."""
        rows = rows.expand(-1, len(self.clause))
        none = rows.new_full((len(rows), self.clauses), -torch.inf)
        return none.scatter_reduce(1, self.clause.expand_as(rows), rows, how)

    def proven(self, lower: Tensor, labels: Tensor) -> Tensor:
        """Return whether bounds prove rows, (batch, R)."""
        return (lower > 0) | ((lower >= 0) & ~self.strict[labels])

    def tightened(self, lower: Tensor) -> Tensor:
        """Return the bounds as they are."""
        return lower

    def floor(self, labels: Tensor, width: int) -> Tensor:
        """Return what a bound of each row must exceed, (batch, R): 0, or the greatest number below."""
        zero = torch.zeros_like(self.offset[labels])
        return zero.masked_fill(~self.strict[labels], -(2.0**-1074))

    def specifications(self, labels: Tensor, samples: Tensor, columns: Tensor, floor: Tensor) -> Specifications:
        """Return some rows of some samples as specifications: k·y + e·x above `floor` − o."""
        chosen = labels[samples], columns
        target = floor[samples, columns] - self.offset[chosen]
        target = torch.where(
            self.offset[chosen] == 0, target, target.nextafter(torch.full_like(target, torch.inf))
        )
        inputs = None if self.inputs is None else self.inputs[chosen]
        return Specifications(samples, self.outputs[chosen], target, inputs)

    # bounds

    def bounds(
        self, circuit: Circuit, box: Box, labels: Tensor, spikes: SpikeBound, quick: bool = False
    ) -> Tensor:
        """Return lower bounds of the rows over a set, (batch, R)."""
        return self.read(circuit, signals_of(circuit, box, spikes, quick), labels, box)

    def read(self, circuit: Circuit, known: list[Signal], labels: Tensor, box: Box) -> Tensor:
        """Return the same from what is known of each node; `box` holds the inputs."""
        rows = self.outputs[labels]
        ends = known_rows(circuit, known, rows, box.lower.double())
        value, size = ends.lower + self.offset[labels], ends.size + self.offset[labels].abs()
        count = rows.shape[2] + 8
        if self.inputs is not None:
            on_inputs = self.inputs[labels].flatten(2)
            low, high = (end.flatten(1)[:, None].double() for end in (box.lower, box.upper))
            value = value + (on_inputs.clamp_min(0) * low + on_inputs.clamp_max(0) * high).sum(2)
            size = size + (on_inputs.abs() * high.maximum(-low)).sum(2)
            count += on_inputs.shape[2]
        weights = rows.abs().sum(2) + (0.0 if self.inputs is None else self.inputs[labels].flatten(2).abs().sum(2))
        lost = torch.where(weights > 0, VANISHED * (1.0 + size), 0.0)
        error = 4 * count * UNIT * size + lost
        lower = value - error
        lower = torch.where(lower.isnan(), -torch.inf, lower)
        return self._decided(ends, lower, error, labels)

    def _decided(self, ends: RowEnds, lower: Tensor, error: Tensor, labels: Tensor) -> Tensor:
        """Put exact values in the place of bounds near 0, of rows without inputs whose outputs are known."""
        if ends.points is None:
            return lower
        near = (lower <= 0) & (lower + 64 * error >= 0) & ends.points.isfinite().all(1, keepdim=True)
        if self.inputs is not None:
            near &= (self.inputs[labels].flatten(2) == 0).all(2)
        for index, row in near.nonzero().tolist():
            lower[index, row] = self._exactly(ends.points[index], None, int(labels[index]), row, strict=False)
        return lower

    # runs

    def gaps(self, logits: Tensor, labels: Tensor, inputs: Tensor) -> Tensor:
        """Return the rows of runs, (batch, R), in float64; differentiable."""
        return self._rows(logits, labels, inputs)[0]

    def _rows(self, logits: Tensor, labels: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows of runs in float64, and how far rounding may have moved them."""
        rows, exact = self.outputs[labels], logits.double()[:, None]
        products = rows * exact
        value, size, count = products.sum(2), products.abs().sum(2), rows.shape[2] + 4
        if self.inputs is not None:
            on_inputs = self.inputs[labels].flatten(2) * inputs.double().flatten(1)[:, None]
            value, size, count = (
                value + on_inputs.sum(2),
                size + on_inputs.abs().sum(2),
                count + on_inputs.shape[2],
            )
        offset = self.offset[labels]
        # the offset's own rounding: at most one unit in the last place of it
        error = 4 * count * UNIT * (size + offset.abs()) + torch.where(size > 0, VANISHED, 0.0)
        return value + offset, error + (self.above - self.offset)[labels]

    def values(self, logits: Tensor, labels: Tensor, inputs: Tensor) -> Tensor:
        """Return what runs have, (batch,), float64: at most 0 iff the property fails there, exactly.

        NaN where an output is not finite: nothing is said.
        """
        found, error = self._rows(logits, labels, inputs)
        finite = logits.isfinite().all(1)
        near = (found.detach().abs() <= error) & finite[:, None]
        if bool(near.any()):
            found = found.clone()
            for index, row in near.nonzero().tolist():
                x = inputs[index].flatten() if self.inputs is not None else None
                found[index, row] = self._exactly(logits[index], x, int(labels[index]), row, strict=True)
        return torch.where(finite, self.least(found), torch.nan)

    def _exactly(self, y: Tensor, x: Tensor | None, label: int, row: int, strict: bool) -> float:
        """Return a row's value, rounded so that its sign is exact.

        Where it is 0 and may be, `strict` says to return the least normal number, so that only failures are ≤ 0.
        """
        value = self.exact[label][row] + _dot(self.outputs[label, row], y)
        if x is not None and self.inputs is not None:
            value += _dot(self.inputs[label, row].flatten(), x)
        if value == 0:
            return TINY if strict and not bool(self.strict[label, row]) else 0.0
        return max(float(value), TINY) if value > 0 else min(float(value), -TINY)

    def stands(self, circuit: Circuit, point: Box, label: int) -> bool:
        """Return whether the property fails at a point for certain, in the run of a network's source as well."""
        ends = logit_bounds(circuit, point, step_spikes)
        here = torch.tensor([label], device=point.lower.device)
        found, error = self._rows((ends.lower + ends.upper) / 2, here, point.lower)
        radius = (ends.upper - ends.lower) / 2 + circuit.allowance.least
        most = found + error + (self.outputs[here].abs() * radius[:, None]).sum(2) * (1.0 + 2.0**-40)
        return bool((self.least(most) < 0).all())

    def replays(self, network: Runs, candidate: Tensor, label: int) -> bool:
        """Return whether an input violates the property, run alone and in a batch of copies."""
        with torch.no_grad():
            for size in (1, TOGETHER):
                batch = candidate.repeat(size, *([1] * candidate.dim()))
                labels = torch.full((size,), label, device=candidate.device)
                if not bool((self.values(network(batch), labels, batch) <= 0).all()):
                    return False
        return True

    def posed(self, network: SpikingNetwork, labels: Tensor) -> tuple["PropertyModule", Tensor, str]:
        """Return what attacks see of some questions, one a sample: two outputs, the value and 0, and class 0."""
        inputs = None if self.inputs is None else self.inputs[labels]
        chosen = tuple(self.exact[index] for index in labels.tolist())
        parts = (
            self.outputs[labels],
            inputs,
            self.offset[labels],
            self.above[labels],
            chosen,
            self.strict[labels],
        )
        return PropertyModule(network, RowGoal(*parts, self.clause)), torch.zeros_like(labels), STRICT

    def alike(self, labels: Tensor) -> list[Tensor]:
        """Return the samples in groups that have the same rows."""
        groups: dict[tuple, list[int]] = {}
        for index, label in enumerate(labels.tolist()):
            key = self.exact[label], self.outputs[label].numpy(force=True).tobytes()
            groups.setdefault(key, []).append(index)
        return [torch.tensor(group, device=labels.device) for group in groups.values()]

    def moved(self, labels: Tensor, by: Tensor) -> "RowGoal":
        """Return the goal with exact float64 numbers `by`, (batch,), added to the offsets of each label's rows."""
        by = torch.zeros(len(self.offset), dtype=torch.float64, device=by.device).index_copy(0, labels, by)
        exact = tuple(
            tuple(value + Fraction(step) for value in one)
            for one, step in zip(self.exact, by.tolist(), strict=True)
        )
        below, above = (end.to(self.offset.device) for end in _around(exact))
        return replace(self, offset=below, above=above, exact=exact)


class PropertyModule(nn.Module):
    """A network and a goal as a module of two outputs, of which the first is to stay the greater one."""

    def __init__(self, network: SpikingNetwork, goal: RowGoal) -> None:
        super().__init__()
        self.network, self.goal = network, goal

    @property
    def neurons(self) -> list[nn.Module]:
        """Return the network's neurons, whose surrogates an attack may choose."""
        return list(self.network.neurons)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (value, 0) of each input; one question is asked of all, or one of each."""
        count = len(inputs) if len(self.goal.offset) > 1 else 1
        labels = torch.arange(count, device=inputs.device).expand(len(inputs))
        value = self.goal.values(self.network(inputs), labels, inputs)
        rounded = value.to(inputs.dtype)
        rounded = torch.where((value > 0) & (rounded <= 0), torch.finfo(inputs.dtype).tiny, rounded)
        return torch.stack([rounded, torch.zeros_like(rounded)], dim=1)


def _around(exact: tuple[tuple[Fraction, ...], ...]) -> tuple[Tensor, Tensor]:
    """Return the float64 numbers next to exact ones, below and above; themselves where they are such numbers."""
    near = torch.tensor([[float(value) for value in one] for one in exact], dtype=torch.float64)
    errors = [[Fraction(float(value)) - value for value in one] for one in exact]
    sign = torch.tensor([[(e > 0) - (e < 0) for e in one] for one in errors])
    below = torch.where(sign > 0, near.nextafter(torch.full_like(near, -torch.inf)), near)
    return below, torch.where(sign < 0, near.nextafter(torch.full_like(near, torch.inf)), near)


def _rows(clauses: Clauses) -> list[Inequality]:
    return [row for clause in clauses for row in clause]


def _matrix(forms: Sequence, kind: str, width: int) -> Tensor:
    """Return the coefficients of one kind of some forms, (R, width)."""
    found = torch.zeros(len(forms), width, dtype=torch.float64)
    for row, form in enumerate(forms):
        for place, factor in getattr(form, kind):
            if place >= width:
                raise ValueError(f"property: got {kind}[{place}], expected less than the network's {width}")
            found[row, place] = factor
    return found


def _constant(row: Inequality, own: Sequence[float]) -> Fraction:
    """Return e·y⁰ + a exactly."""
    total = Fraction(row.form.constant)
    for place, factor in row.form.own:
        if place >= len(own):
            raise ValueError(f"property: got sample[{place}], expected less than the network's {len(own)}")
        total += Fraction(factor) * Fraction(own[place])
    return total


def _dot(weights: Tensor, values: Tensor) -> Fraction:
    """Return Σ w·v exactly, over the places where w is not 0."""
    places = weights.nonzero().flatten()
    pairs = zip(weights[places].tolist(), values[places].tolist(), strict=True)
    return sum((Fraction(w) * Fraction(v) for w, v in pairs), Fraction(0))
