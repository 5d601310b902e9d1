"""A first layer's currents while events of one recording move: sums are kept, not taken anew for each part.

Events e_1, …, e_N of a recording x, one a feature at most, come at steps t_e, and W_e is what the first layer
makes of a one in e's feature. Where the events of a set M have moved to t'_e,

    W·x̃[t] + b = W·x[t] + b + Σ_{e ∈ M} W_e·([t = t'_e] − [t = t_e]):

a move that was made costs two additions. Let events among e_p, …, e_N move as well, at most c of them, by B steps
in all. Then Σ_t A[t]·W·x̃[t] rises by at most the sum of the c greatest |W_e|·m_e(Δ), and by that of the B greatest
increments of |W_e|·m_e(d) (shifts.py), e ≥ p. Both are kept for some p, and the last of these that is no greater
than a part's own is taken: its events are among those. So a part costs a number for each neuron and row, however
many inputs there are.

Rounding. The run's is that of any recording with x's features (intervals.py). A kept current sums the terms of
W·x[t] + b and two more for each of m moves, no greater than |W| makes of x's features: less than n + 2m + 16
roundings, each at most ε/2 of (2m + 1)·(|W|·|x| + |b|). Four times that is paid; a row's own T roundings are among
those of the run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ....models.circuit import Circuit, Mapped
from ...rounding import Rounding, over_rows
from ..signals.affine import AffineMap, affine_map
from ..signals.box import Box
from ..signals.signals import Signal
from .budgets import total
from .retimings import Retimings
from .shifts import EPS, increments

MOST_KEPT = 2**21
"""How many sums of one question are kept, each way, if one p does not take more: 16 MiB."""

BLOCKS = 128
"""Of how many p at most."""

AT_ONCE = 2**22
"""How many numbers are made at once of the events' columns."""


@dataclass(frozen=True)
class Movable:
    """What may still move: the events from some place on, `events` of them at most, by `steps` in all."""

    steps: int
    events: int


@dataclass(frozen=True, eq=False)
class MovedEvents:
    """The events of one recording, and what the first layer makes of them.

    Attributes:
        layer: the first layer.
        map: what it does.
        rounding: the dtypes of the run and of the bound.
        features: which inputs have events, (1, ...).
        entering: what enters the layer, (T, ...).
        currents: what the layer makes of it, (T, ...).
        columns: W_e of each event, (N, outputs), flat.
        before: t_e, (N,).
        jitter: how far an event moves at most, in steps, below T.
        kept: sums by question.
    """

    layer: Mapped
    map: AffineMap
    rounding: Rounding
    features: Tensor
    entering: Tensor
    currents: Tensor
    columns: Tensor
    before: Tensor
    jitter: int
    kept: dict[tuple[bytes, Movable], Tensor] = field(default_factory=dict)

    @staticmethod
    def of(
        circuit: Circuit, first: int, sample: Tensor, features: Tensor, before: Tensor, jitter: int
    ) -> "MovedEvents":
        """Return the events of a recording.

        Args:
            circuit: the network.
            first: as `first_layer` returns it.
            sample: the recording, (1, T, ...), one event a feature at most.
            features: where the events are that may move, flat, (N,).
            before: at which steps, (N,).
            jitter: how far each moves at most.
        """
        layer = circuit.nodes[first]
        assert isinstance(layer, Mapped)
        made, signal = affine_map(layer.map), circuit.arranged(sample.double()).squeeze(1)
        renames = [each.map.to(torch.float64) for each in circuit.nodes[1:first] if isinstance(each, Mapped)]

        def entering(inputs: Tensor) -> Tensor:
            """Return what inputs are where the layer reads them."""
            for rename in renames:
                inputs = rename.linear(inputs)
            return inputs

        signal_in = entering(signal)
        currents = made.linear(signal_in) + made.bias
        columns = [made.linear(entering(ones)).flatten(1) for ones in _ones(features, signal)]
        columns = torch.cat(columns) if columns else currents.new_zeros(0, currents[0].numel())
        marked = entering(signal.amax(0, keepdim=True))
        steps = min(jitter, len(signal) - 1)
        rounding = Rounding.of(circuit)
        return MovedEvents(layer, made, rounding, marked, signal_in, currents, columns, before, steps)

    @property
    def num_steps(self) -> int:
        """Return the number of steps T."""
        return len(self.currents)

    def after(self, moved: Tensor, there: Tensor) -> Tensor:
        """Return the currents once events `moved` have come to steps `there`, (n, m) each: (T, n, outputs)."""
        found = self.currents.flatten(1).unsqueeze(0).repeat(len(moved), 1, 1)
        rows = torch.arange(len(moved), device=moved.device)
        for event, step in zip(moved.T, there.T, strict=True):
            found[rows, self.before[event]] -= self.columns[event]
            found[rows, step] += self.columns[event]
        return found.transpose(0, 1)

    def slack(self, moves: int, further: int) -> Tensor:
        """Return how far currents after so many moves may be from the run's, (1, outputs).

        Args:
            moves: m.
            further: roundings that the run adds to each.
        """
        size = (self.map.absolute(self.features) + self.map.bias_magnitude) * (2 * moves + 1)
        own = size * (2 * (self.map.terms + 2 * moves + 16) * EPS)
        return (self.map.slack(self.features, self.rounding, further) + own).flatten(1)

    def reach(self, rows: Tensor, movable: Movable, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return how far Σ_t rows[k,t]·W·x[t] may fall and rise, each (k, n, outputs).

        Args:
            rows: (k, T).
            movable: how much may move.
            places: from which event on, (n,).
        """
        question = rows.cpu().numpy().tobytes(), movable
        if question not in self.kept:
            self.kept[question] = torch.stack([self._sums(-rows, movable), self._sums(rows, movable)])
        kept = self.kept[question]
        size = self._block(len(rows))
        blocks = torch.where(places < len(self.before), places // size, kept.shape[2] - 1)
        fall, rise = kept[:, :, blocks]
        return fall, rise

    def _block(self, rows: int) -> int:
        """Return of how many events only the first is a p that sums are kept of."""
        blocks = max(1, min(BLOCKS, MOST_KEPT // (rows * self.columns.shape[1])))
        return max(1, -(-len(self.before) // blocks))

    def _sums(self, rows: Tensor, movable: Movable) -> Tensor:
        """Return how far sums rise for each p that is kept, and 0 for none to move, (k, blocks + 1, outputs)."""
        far = min(self.jitter, movable.steps)
        found = [self._greatest(rows, *limit, far) for limit in self._limits(movable)]
        return torch.stack(found).amin(0)

    def _limits(self, movable: Movable) -> list[tuple[int, bool]]:
        """Return the budgets, and whether each is of steps, without those that the other one implies."""
        steps, events = movable.steps, movable.events
        by_events = [(events, False)] if events < steps else []
        return by_events + ([(steps, True)] if steps < events * self.jitter or not by_events else [])

    def _greatest(self, rows: Tensor, most: int, steps: bool, far: int) -> Tensor:
        """Return the sums of the `most` greatest of what events from each p on gain, (k, blocks + 1, outputs)."""
        up, down = (self._gains(sign * rows, steps, far) for sign in (1.0, -1.0))
        size, count = self._block(len(rows)), len(self.before)
        best = rows.new_zeros(len(rows), self.columns.shape[1], 1)
        found = [best.squeeze(-1)]
        for start in reversed(range(0, count, size)):
            weights, places = self.columns[start : start + size], self.before[start : start + size]
            rising, falling = (gains[:, places].unsqueeze(2) for gains in (up, down))
            each = weights.unsqueeze(-1)
            gained = each.clamp_min(0) * rising - each.clamp_max(0) * falling  # (k, events, outputs, d)
            best = torch.cat([best, gained.transpose(1, 2).flatten(2)], -1)
            best = best.topk(min(most, best.shape[-1])).values
            found.append(total(best, most))
        return torch.stack(found[::-1], 1)

    def _gains(self, rows: Tensor, steps: bool, far: int) -> Tensor:
        """Return what a move from each step gains at most, (k, T, 1), or its increments over d, (k, T, far)."""
        gains = Retimings.of(rows, far, leaves=False, vanishes=False).gains
        return increments(gains) if steps else gains[..., -1:] * (1.0 + 4 * EPS)


@dataclass(frozen=True)
class MovedCurrents(Signal):
    """The first layer's currents of parts, n of them: sets of recordings of some moves that were made.

    Attributes:
        events: of the recording.
        made: the currents after those moves, (T, n, outputs), flat.
        moves: how many were made.
        movable: how much may still move.
        places: from which event on, (n,).
    """

    events: MovedEvents
    made: Tensor
    moves: int
    movable: Movable
    places: Tensor
    constant: bool = False

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return self.events.num_steps

    def steps(self) -> Box:
        """Return where the currents lie step by step."""
        return self._box(torch.eye(self.num_steps).to(self.made), 0)

    def combine(self, rows: Tensor) -> Box:
        """Return where sums over time lie."""
        return self._box(rows.to(self.made), over_rows(self.num_steps))

    def magnitude(self) -> Tensor:
        """Return |W|·|x| + |b|, widened by the run's rounding."""
        return self.events.map.magnitude(self.events.features, self.events.rounding)

    def _box(self, rows: Tensor, further: int) -> Box:
        middle = torch.tensordot(rows, self.made, 1)
        slack = self.events.slack(self.moves, further) * rows.abs().sum(1)[:, None, None]
        lower, upper = middle - slack, middle + slack
        if self.movable.steps and self.movable.events and len(self.events.before) and self.events.jitter:
            fall, rise = self.events.reach(rows, self.movable, self.places)
            lower, upper = lower - fall, upper + rise
        shape = self.events.currents.shape[1:]
        return Box(lower.unflatten(-1, shape), upper.unflatten(-1, shape))


def first_layer(circuit: Circuit) -> int | None:
    """Return the place of the affine layer that alone reads the recording, renamed or not, if there is one.

    None also where it is the last node, which a readout reads.
    """
    for place, node in enumerate(circuit.nodes[1:], start=1):
        if not isinstance(node, Mapped) or node.sources != (place - 1,):
            return None
        if not node.map.reshapes:
            others = circuit.nodes[place + 1 :]
            alone = all(source >= place for other in others for source in other.sources)
            return place if alone and node is not circuit.last else None
    return None


def _ones(features: Tensor, like: Tensor) -> Iterator[Tensor]:
    """Yield inputs with a one at each of `features`, (n, ...), some at a time."""
    shape = like.shape[1:]
    for part in features.split(max(1, AT_ONCE // max(1, shape.numel()))):
        ones = like.new_zeros(len(part), shape.numel())
        ones[torch.arange(len(part), device=part.device), part] = 1.0
        yield ones.view(-1, *shape)
