"""F9: the trains of a subtracting reset, by what came in minus what went out.

Write S[t] = Σ_{k≤t} λ^{t−k}·s[k] for a neuron's own filtered train and L[t] = Σ_{k≤t} λ^{t−k}·c[k] for its
filtered current. With v[t] = λ·u[t−1] + c[t] and u = v − d·s,

    u[t] = L[t] − d·S[t],    v[t] = L[t] − d·λ·S[t−1]:

the reset moves no information but S. So a cell at step t is an interval of S[t] and one of u[t]; from each cell
silence is possible iff v may lie at θ or below, a spike iff v may lie at θ or above, where v is known from both
sides, v ∈ [Lmin − dλ·S, Lmax − dλ·S] ∩ [λu + c], and then S ← λS + s, u ← v − d·s, S ∈ (L − u)/d. Beyond K cells
a neuron's neighbours in S merge into their hull. Every run stays inside some path of cells, whatever merges, so
min Σ A[t]·s[t] is bounded by a shortest path, O(T·K). With λ = 1 and K > T no two counts merge: F10's exact counts.

Filtered currents are joint over time: their range is asked of the layer before for T rows λ^{t−k}, not step by
step, and does not grow as independent boxes do.

Rounding. `drive` shows that the run is a run of the exact recursion on currents within `slack` of the chain's, and
slack holds 32·u₆₄·M besides what the run takes, M ≥ |u|, |v| at each step. L is widened by Σ λ^{t−k}·slack. What is
computed here errs less: S by 2u₆₄·S a step and d·S ≤ M, each comparison and each u by three roundings of terms that M
bounds, so after t steps by at most 6·u₆₄·M·Σ λ^{t−k}.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.rules import Leaky
from .box import Box
from .looking_through import filtered_current
from .membrane import Drive, drive
from .rounding import Rounding
from .signals import Balance, Signal, equal_weights

CELLS = 24
"""K inside a network; more cells repay their cost in the last layer alone."""

NOWHERE = -1
"""Where a move leads that does not exist."""


@dataclass(frozen=True)
class Cells:
    """What is known at one step, each (K, batch, ...); ends of cells that no run reaches are 0.

    Attributes:
        least, most: ends of the filtered train S.
        low, high: ends of the potential u that is left.
        alive: which cells a run may reach.
    """

    least: Tensor
    most: Tensor
    low: Tensor
    high: Tensor
    alive: Tensor

    @staticmethod
    def start(like: Tensor, count: int) -> "Cells":
        """Return the one cell before the first step, for neurons `like`, (batch, ...)."""
        ends = like.new_zeros(4, count, *like.shape)
        alive = torch.zeros_like(ends[0], dtype=torch.bool)
        alive[0] = True
        return Cells(*ends, alive)

    @property
    def train(self) -> Box:
        """Return the range of S over the cells, (batch, ...)."""
        return _range(self.least, self.most, self.alive)

    @property
    def potential(self) -> Box:
        """Return the range of u over the cells, (batch, ...)."""
        return _range(self.low, self.high, self.alive)


@dataclass(frozen=True)
class Inflow:
    """What drives the neurons of a layer.

    Attributes:
        drives: currents step by step.
        lower, upper: ends of the filtered current L[t], (T, batch, ...), rounding paid.
    """

    drives: Drive
    lower: Tensor
    upper: Tensor


@dataclass(frozen=True)
class AutomatonTrains(Signal):
    """The cells of a layer and the moves between them.

    Attributes:
        rule: of the layer.
        current: its input currents.
        inflow: what they drive it with.
        cells: of steps 0 to T.
        moves: which cell of step t + 1 each cell of step t leads to, silent (the first K) and with a spike (the
            others), or `NOWHERE`; T of (2K, batch, ...), int16.
        box: whether each step's spike is certain, impossible or open, (T, batch, ...).
    """

    rule: Leaky
    current: Signal
    inflow: Inflow
    cells: tuple[Cells, ...]
    moves: tuple[Tensor, ...]
    box: Box
    constant: bool = False

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return T."""
        return len(self.moves)

    def steps(self) -> Box:
        """Return the spikes step by step."""
        return self.box

    def combine(self, rows: Tensor) -> Box:
        """Return the range over all paths of cells: one shortest and one longest path for each row."""
        weights = equal_weights(rows)
        if weights is not None:
            return _last(self._paths(torch.ones_like(rows[0]), 1.0)).scaled(weights)
        return stacked(_last(self._paths(row, 1.0)) for row in rows)

    def filtered(self, rule: Leaky) -> Box:
        """Return the range of Σ_{k≤t} λ^{t−k}·a[k]·s[k] over all paths, λ and a those of the reader's `rule`."""
        if rule.decay == self.rule.decay and rule.scale is None:
            return stacked(cells.train for cells in self.cells[1:])
        row = self.box.lower.new_tensor(rule.factors(self.num_steps))
        return stacked(self._paths(row, rule.decay))

    def balance(self, rule: Leaky) -> Balance | None:
        """Return what the cells know of S and of u, where the reader's filter is the layer's own."""
        if rule.decay != self.rule.decay or rule.scale is not None:
            return None
        trains, left = (stacked(getattr(cells, name) for cells in self.cells[1:]) for name in ("train", "potential"))
        return Balance(trains, left, self.current, self.rule, self.inflow.drives.slack)

    def magnitude(self) -> Tensor:
        """Return 1."""
        return torch.ones_like(self.box.lower[0, :1])

    def _paths(self, row: Tensor, decay: float) -> Iterator[Box]:
        """Yield the range of Σ_{k≤t} decay^{t−k}·row[k]·s[k] over all paths to step t, t = 1..T."""
        shortest = longest = torch.zeros_like(self.cells[0].least)
        for t, moves in enumerate(self.moves):
            shortest = merged(moved(shortest, row[t], decay), moves, "amin")
            longest = merged(moved(longest, row[t], decay), moves, "amax")
            yield _range(shortest, longest, self.cells[t + 1].alive)


def automaton_trains(current: Signal, rule: Leaky, rounding: Rounding, cells: int = CELLS) -> AutomatonTrains:
    """Return the cells of a subtracting reset under `current`."""
    inflow = inflow_of(current, rule, rounding)
    count = max(cells, current.num_steps + 1) if rule.decay == 1.0 else cells
    states, moves = [Cells.start(inflow.drives.slack, count)], []
    for t in range(current.num_steps):
        reached, move = _advance(states[-1], inflow, t, rule)
        states.append(reached)
        moves.append(move)
    box = Box(*(torch.stack(ends) for ends in zip(*(_spikes(move) for move in moves), strict=True)))
    return AutomatonTrains(rule, current, inflow, tuple(states), tuple(moves), box)


def inflow_of(current: Signal, rule: Leaky, rounding: Rounding) -> Inflow:
    """Return what `current` drives neurons of `rule` with."""
    drives = drive(current, rule, rounding)
    box = filtered_current(current, rule)
    slack = drives.slack * _decays(rule, box.lower).cumsum(0)
    return Inflow(drives, box.lower - slack, box.upper + slack)


def _decays(rule: Leaky, like: Tensor) -> Tensor:
    """Return λ^0, λ^1, …, one for each row of `like`."""
    powers = rule.decay ** torch.arange(len(like), dtype=like.dtype, device=like.device)
    return powers.reshape(-1, *([1] * (like.dim() - 1)))


def moved(values: Tensor, cost: Tensor | float, decay: float) -> Tensor:
    """Return what a sum over the own train becomes in silence and with a spike, (2K, batch, ...)."""
    silent = values * decay
    return torch.cat((silent, silent + cost))


def merged(values: Tensor, moves: Tensor, how: str) -> Tensor:
    """Return the least ("amin") or greatest ("amax") value that reaches each cell, 0 where none does."""
    count = len(values) // 2
    reached = values.new_zeros(count + 1, *values.shape[1:])
    target = moves.long()
    target = torch.where(target == NOWHERE, count, target)
    return reached.scatter_reduce_(0, target, values, how, include_self=False)[:count]


def _advance(cells: Cells, inflow: Inflow, t: int, rule: Leaky) -> tuple[Cells, Tensor]:
    """Return the cells of the next step, and where each cell's silence and spike lead."""
    found = _candidates(cells, inflow, t, rule)
    moves = _targets(found, len(cells.alive))
    ends = [(found.least, "amin"), (found.most, "amax"), (found.low, "amin"), (found.high, "amax")]
    reached = [merged(values, moves, how) for values, how in ends]
    alive = merged(found.alive.to(found.least.dtype), moves, "amax") > 0
    return Cells(*reached, alive), moves.to(torch.int16)


def _candidates(cells: Cells, inflow: Inflow, t: int, rule: Leaky) -> Cells:
    """Return the cells that silence (the first K) and a spike (the others) lead to, before any merge."""
    lower, upper, drives = inflow.lower[t], inflow.upper[t], inflow.drives
    least, most = cells.least * rule.decay, cells.most * rule.decay
    low = (lower - most * rule.drop).maximum(cells.low * rule.decay + drives.lower[t])
    high = (upper - least * rule.drop).minimum(cells.high * rule.decay + drives.upper[t])
    alive = cells.alive & (low <= high)
    quiet, fires = alive & (low <= drives.surely), alive & (high >= drives.perhaps)
    low = torch.cat((low, low.clamp_min(drives.perhaps) - rule.drop))
    high = torch.cat((high.clamp_max(drives.surely), high - rule.drop))
    least = torch.cat((least, least + 1.0)).maximum((lower - high) / rule.drop)
    most = torch.cat((most, most + 1.0)).minimum((upper - low) / rule.drop)
    return Cells(least, most, low, high, torch.cat((quiet, fires)) & (least <= most))


def _targets(found: Cells, count: int) -> Tensor:
    """Return which of `count` cells each candidate merges into, (2K, batch, ...): its own while there are few
    enough, else that of uniform bins of S, which hold counts apart where λ = 1."""
    rank = found.alive.cumsum(0)
    middle = (found.least + found.most) * 0.5
    first = middle.masked_fill(~found.alive, torch.inf).amin(0)
    last = middle.masked_fill(~found.alive, -torch.inf).amax(0)
    width = ((last - first) / (count - 1)).clamp_min(1e-300)
    bins = ((middle - first) / width).round().clamp(0, count - 1)
    target = torch.where(rank[-1] <= count, rank - 1, bins.nan_to_num(0.0).long())
    return target.masked_fill(~found.alive, NOWHERE)


def _spikes(moves: Tensor) -> tuple[Tensor, Tensor]:
    """Return whether a spike is certain, and whether it is possible, as 0 or 1, (batch, ...) each."""
    silent, fires = (moves != NOWHERE).chunk(2)
    return (~silent.any(0)).double(), fires.any(0).double()


def stacked(boxes: Iterable[Box]) -> Box:
    """Return boxes (batch, ...) as the rows of one."""
    found = list(boxes)
    return Box(torch.stack([box.lower for box in found]), torch.stack([box.upper for box in found]))


def _range(least: Tensor, most: Tensor, alive: Tensor) -> Box:
    return Box(
        least.masked_fill(~alive, torch.inf).amin(0),
        most.masked_fill(~alive, -torch.inf).amax(0),
    )


def _last(boxes: Iterator[Box]) -> Box:
    *_, box = boxes
    return box
