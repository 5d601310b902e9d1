"""F9: the trains of a subtracting reset, by what came in minus what went out.

Write S[t] = Σ_{k≤t} λ^{t−k}·s[k] for a neuron's own filtered train and L[t] = Σ_{k≤t} λ^{t−k}·c[k] for its
filtered current. With v[t] = λ·u[t−1] + c[t] and u = v − d·s,

    u[t] = L[t] − d·S[t],    v[t] = L[t] − d·λ·S[t−1]:

the state is what came in minus what went out. So a cell at step t is an interval of S[t] and one of u[t]; from
each cell silence is possible iff v may lie at θ or below, a spike iff v may lie at θ or above, where v is known
from both sides, v ∈ [Lmin − dλ·S, Lmax − dλ·S] ∩ [λu + c], and then S ← λS + s, u ← v − d·s, S ∈ (L − u)/d. Of
more than K cells, neighbours in S merge into their hulls. Every run stays inside some path of cells, whatever
merges, so min Σ A[t]·s[t] is bounded by a shortest path, O(T·K). With λ = 1 and K > T no two counts merge: F10's
exact counts.

Filtered currents are joint over time: their range is asked of the layer before for T rows λ^{t−k}, not step by
step, and does not grow as independent boxes do.

Rounding. `drive` shows that the run is a run of the exact recursion on currents within `slack` of the chain's; the
slack holds 32·u₆₄·M besides what the run takes, M ≥ |u|, |v| at each step, and L is widened by Σ λ^{t−k}·slack.
What is computed here errs less: S by 2u₆₄·S a step, where d·S ≤ M, and each comparison and each u by three
roundings of terms that M bounds, so after t steps by at most 6·u₆₄·M·Σ λ^{t−k}.

Cells one step at a time (automaton.py): what silence and a spike make of each, and which of these merge.

Prices on cells (priced_layer.py) are found by these; ranges alone by cells.c, which merges as they do.

`cells.c`: what cells say of the trains of layers that subtract (automaton.py), and of pairs of their neurons
(F9b).

Each number is made by the operations that are told there, in their order, so that the proofs hold for it. Where λ
= 1 and spikes are counted it takes one cell a count, which says the same (cells.c tells why).

F9b: margins of a readout that counts the spikes of a layer that subtracts, by pairs of its neurons.

Counts of two classes, bounded one by one, forget that both read the same spikes. Here a cell holds intervals of S
and of u for neuron y and for neuron k at once (automaton.py), and each step knows a strip: D[t] = L_y[t] − L_k[t]
lies in [p, q], from one product with W_y − W_k. A step with spikes (s_y, s_k) needs L_y in [a, b] and L_k in
[c, e], by the cell and the firing conditions; the strip cuts that to

    a' = max(a, c + p),  b' = min(b, e + q),  c' = max(c, a − q),  e' = min(e, b − p),

and the step exists iff both intervals are left. The least N_y − N_k over all paths of cells bounds every run's,
since every run stays in some path. Beyond side² cells, neighbours in (S_y, S_k) merge into their hulls.

Rounding: as in automaton.py; the strip pays for the slack of both neurons, as L does.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ....kernels.cells import CellsLayer, fill_differences, fill_ranges
from ....models.deadline import check_time
from ....models.rules import Leaky
from ...rounding import Rounding, reading_slack
from ..signals.signals import Balance, Signal, equal_weights
from ..signals.windows import Box
from ..trains.train_table import Trains
from .looking_through import Inflow, MatrixChain, filter_sums, filtered_sums, gain_sums, inflow_of

NOWHERE = -1
"""Where a move leads that does not exist."""


@dataclass(frozen=True)
class Cells:
    """Cells at one step, each (K, ...); numbers of cells that no run reaches are 0.

    Attributes:
        least, most: ends of S.
        low, high: ends of u.
        shortest, longest: ends of the sum that is asked for.
        alive: which cells a run may reach.
    """

    least: Tensor
    most: Tensor
    low: Tensor
    high: Tensor
    shortest: Tensor
    longest: Tensor
    alive: Tensor

    @staticmethod
    def start(like: Tensor, count: int) -> "Cells":
        """Return the one cell before the first step, for neurons `like`, (...)."""
        ends = like.new_zeros(6, count, *like.shape)
        alive = torch.zeros_like(ends[0], dtype=torch.bool)
        alive[0] = True
        return Cells(*ends, alive=alive)


def candidates(cells: Cells, inflow: Inflow, t: int, rule: Leaky, weight: float, decay: float) -> Cells:
    """Return what silence (the first K) and a spike (the others) make of each cell, before any merge.

    S is cut to (L − u)/d, but for whole counts: d·S was taken from L where v was cut, so that no u leaves S.
    """
    lower, upper = inflow.lower[t], inflow.upper[t]
    least, most = cells.least * rule.decay, cells.most * rule.decay
    low = (lower - most * rule.drop).maximum(cells.low * rule.decay + inflow.low[t])
    high = (upper - least * rule.drop).minimum(cells.high * rule.decay + inflow.high[t])
    alive = cells.alive & (low <= high)
    quiet, fires = alive & (low <= inflow.surely), alive & (high >= inflow.perhaps)
    low = torch.cat((low, low.clamp_min(inflow.perhaps) - rule.drop))
    high = torch.cat((high.clamp_max(inflow.surely), high - rule.drop))
    least, most = torch.cat((least, least + 1.0)), torch.cat((most, most + 1.0))
    if not _apart(cells, inflow, rule):
        least, most = least.maximum((lower - high) / rule.drop), most.minimum((upper - low) / rule.drop)
    shortest, longest = cells.shortest * decay, cells.longest * decay
    shortest = torch.cat((shortest, shortest + weight))
    longest = torch.cat((longest, longest + weight))
    alive = torch.cat((quiet, fires)) & (least <= most)
    return Cells(least, most, low, high, shortest, longest, alive)


def _apart(cells: Cells, inflow: Inflow, rule: Leaky) -> bool:
    """Return whether no two counts merge: S stays whole where λ = 1."""
    return rule.decay == 1.0 and len(cells.alive) > len(inflow.lower)


def targets(found: Cells, count: int) -> Tensor:
    """Return which of `count` cells each candidate merges into, or `NOWHERE`, (2K, ...).

    A neuron's candidates keep apart while there are few enough; else they go into uniform bins of S, which hold
    counts apart where λ = 1.
    """
    rank = found.alive.cumsum(0)
    middle = (found.least + found.most) * 0.5
    first = middle.masked_fill(~found.alive, torch.inf).amin(0)
    last = middle.masked_fill(~found.alive, -torch.inf).amax(0)
    width = ((last - first) / (count - 1)).clamp_min(1e-300)
    bins = ((middle - first) / width).round().clamp(0, count - 1)
    target = torch.where(rank[-1] <= count, rank - 1, bins.nan_to_num(0.0).long())
    return target.masked_fill(~found.alive, NOWHERE)


def merged(found: Cells, target: Tensor, count: int) -> Cells:
    """Return the hulls of what reaches each cell."""
    target = torch.where(target == NOWHERE, count, target)

    def hull(values: Tensor, how: str) -> Tensor:
        reached = values.new_zeros(count + 1, *values.shape[1:])
        return reached.scatter_reduce_(0, target, values, how, include_self=False)[:count]

    lower = (hull(values, "amin") for values in (found.least, found.low, found.shortest))
    upper = (hull(values, "amax") for values in (found.most, found.high, found.longest))
    least, low, shortest = lower
    most, high, longest = upper
    alive = hull(found.alive.to(least.dtype), "amax") > 0
    return Cells(least, most, low, high, shortest, longest, alive)


@dataclass(frozen=True)
class CellRanges:
    """What the cells of a layer leave at each step, (T, ...) each.

    Attributes:
        spikes: whether each spike is certain, impossible or open.
        train: ends of the filtered trains S[t].
        potential: ends of the potentials u[t] that are left.
        sums: ends of Σ_{k≤t} decay^{t−k}·row[k]·s[k], for the row and the decay that were asked for.
    """

    spikes: Box
    train: Box
    potential: Box
    sums: Box


@dataclass(frozen=True)
class Pairs:
    """P pairs of neurons.

    Attributes:
        inflow: what drives them; ends are (T, 2, P), first neuron y, then k.
        strip: ends of L_y − L_k, (T, P) each.
    """

    inflow: Inflow
    strip: Box


def cell_ranges(inflow: Inflow, rule: Leaky, count: int, row: Tensor, decay: float) -> CellRanges:
    """Return what K cells a neuron say of each step.

    Args:
        inflow: what drives the neurons.
        rule: of the layer.
        count: K.
        row, decay: of the sum that is asked for; `row` is (T,).
    """
    filled = torch.empty((8, *inflow.lower.shape), dtype=torch.float64)
    row = row.double().cpu().contiguous()
    fill_ranges(_layer(inflow, rule), _flow(inflow), count, row, decay, filled)
    filled = filled.to(inflow.lower.device)
    return CellRanges(*(Box(*ends) for ends in zip(filled[::2], filled[1::2], strict=True)))


def least_differences(pairs: Pairs, rule: Leaky, side: int) -> Tensor:
    """Return a lower bound of N_y − N_k for each pair, (P,); ∞ where no run exists."""
    filled = torch.empty(pairs.strip.lower.shape[1], dtype=torch.float64)
    lower, upper = (ends.double().cpu().contiguous() for ends in (pairs.strip.lower, pairs.strip.upper))
    fill_differences(_layer(pairs.inflow, rule), _flow(pairs.inflow), (lower, upper), side, filled)
    return filled.to(pairs.strip.lower.device)


def _layer(inflow: Inflow, rule: Leaky) -> CellsLayer:
    steps, size, threads = len(inflow.lower), inflow.lower[0].numel(), torch.get_num_threads()
    return CellsLayer(rule.decay, inflow.surely, inflow.perhaps, rule.drop, steps, size, threads)


def _flow(inflow: Inflow) -> tuple[Tensor, ...]:
    return tuple(
        ends.double().cpu().contiguous() for ends in (inflow.lower, inflow.upper, inflow.low, inflow.high)
    )


CELLS = 16
"""K: more cells hardly narrow what is known of one neuron."""


@dataclass(frozen=True)
class CountedLayer:
    """What is known of a layer that subtracts, whose spikes are counted.

    Attributes:
        rule: of the layer.
        current: its input currents.
        inflow: what they drive it with.
    """

    rule: Leaky
    current: Signal
    inflow: Inflow


@dataclass(frozen=True)
class CellTrains(CountedLayer, Trains):
    """The trains of a layer that subtracts, as paths of cells; computed when they are asked for.

    Attributes:
        count: K.
    """

    count: int = CELLS
    priced = True

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return len(self.inflow.lower)

    @property
    def price_numbers(self) -> int:
        """Return about what the cells of all steps take."""
        return self.num_steps * 8 * self.count

    def steps(self) -> Box:
        """Return whether each step's spike is certain, impossible or open, (T, batch, ...)."""
        return self._counted.spikes

    def combine(self, rows: Tensor) -> Box:
        """Return the range over all paths of cells: one shortest and one longest path for each row."""
        weights = equal_weights(rows)
        if weights is not None:
            return self._counted.sums[-1].scaled(weights)
        found = [self._ranges(row, 1.0).sums[-1] for row in rows]
        return Box(torch.stack([box.lower for box in found]), torch.stack([box.upper for box in found]))

    def filtered(self, rule: Leaky) -> Box:
        """Return the range of Σ_{k≤t} λ^{t−k}·a[k]·s[k] over all paths, λ and a those of the reader's `rule`."""
        if rule.decay == self.rule.decay and rule.scale is None:
            return self._counted.train
        row = self.inflow.lower.new_tensor(rule.factors(self.num_steps))
        return self._ranges(row, rule.decay).sums

    def balance(self, rule: Leaky) -> Balance | None:
        """Return what the cells know of S and of u, where the reader's filter is the layer's own."""
        if rule.decay != self.rule.decay or rule.scale is not None:
            return None
        known = self._counted
        return Balance(known.train, known.potential, self.current, self.rule, self.inflow.slack)

    def margins(self, labels: Tensor, known: Tensor, rounding: Rounding) -> Tensor:
        """Return the bounds by pairs of neurons, where that is better."""
        return pair_margins(self, labels, known, rounding)

    @cached_property
    def _counted(self) -> CellRanges:
        """Return the ranges with the counts of spikes as sums."""
        return self._ranges(self.inflow.lower.new_ones(self.num_steps), 1.0)

    def _ranges(self, row: Tensor, decay: float) -> CellRanges:
        check_time()
        return cell_ranges(self.inflow, self.rule, self.count, row, decay)


def cell_trains(current: Signal, rule: Leaky, rounding: Rounding, cells: int = CELLS) -> CellTrains:
    """Return the cells of a subtracting reset under `current`; with λ = 1 enough to hold all counts apart."""
    count = max(cells, current.num_steps + 1) if rule.decay == 1.0 else cells
    return CellTrains(rule, current, inflow_of(current, rule, rounding), count)


SIDE = 32
"""The side of the square of cells: more cells hardly help."""


def pair_margins(last: CountedLayer, labels: Tensor, known: Tensor, rounding: Rounding) -> Tensor:
    """Return better lower bounds of logit_y − logit_k, (batch, classes), where `known` ones are not positive.

    Args:
        last: what is known of the last layer's spikes, whose mean over time the logits are.
        labels: y.
        known: lower bounds, (batch, classes); those above 0 stay.
        rounding: of the run; the mean of T numbers 0 and 1 errs by less than 8u.
    """
    samples, classes = (known <= 0).nonzero(as_tuple=True)
    kept = classes != labels[samples]
    samples, classes = samples[kept], classes[kept]
    if len(samples) == 0:
        return known
    neurons = torch.stack((labels[samples], classes))
    pairs = Pairs(last.inflow.at(samples, neurons), _strip(last, samples, neurons))
    found = _least(pairs, last.rule) / len(last.inflow.lower) - 2 * reading_slack(1.0, rounding)
    return known.index_put((samples, classes), found.maximum(known[samples, classes]))


def _least(pairs: Pairs, rule: Leaky) -> Tensor:
    """Return the least N_y − N_k, (P,); with λ = 1 of cells that hold all counts apart."""
    side = max(SIDE, len(pairs.strip.lower) + 1) if rule.decay == 1.0 else SIDE
    return least_differences(pairs, rule, side)


def _strip(last: CountedLayer, samples: Tensor, neurons: Tensor) -> Box:
    """Return the ends of L_y[t] − L_k[t], (T, P): one product with W_y − W_k, within the separate boxes."""
    inflow, rule = last.inflow.at(samples, neurons), last.rule
    separate = Box(inflow.lower[:, 0] - inflow.upper[:, 1], inflow.upper[:, 0] - inflow.lower[:, 1])
    reader = MatrixChain.of(last.current)
    if reader is None:
        return separate
    gains, moduli = gain_sums(rule, len(inflow.lower), reader.matrix)
    sums = _differences(reader, last, samples, neurons)
    middle = (reader.bias[neurons[0]] - reader.bias[neurons[1]]) * gains
    chain = reader.slack.expand(last.inflow.lower.shape[1], -1)[samples, neurons].sum(0)
    slack = chain * moduli + inflow.slack.sum(0) * filter_sums(rule, separate.lower)
    return separate.intersection(Box(sums.lower + (middle - slack), sums.upper + (middle + slack)))


def _differences(reader: MatrixChain, last: CountedLayer, samples: Tensor, neurons: Tensor) -> Box:
    """Return where Σ_j (W_yj − W_kj)·S_j[t] lies, (T, P): all pairs of a sample at once."""
    labels = torch.zeros(int(samples.max()) + 1, dtype=torch.long, device=samples.device)
    labels[samples] = neurons[0]
    batch = last.inflow.lower.shape[1]
    labels = torch.nn.functional.pad(labels, (0, batch - len(labels)))
    weights = reader.matrix[labels, None] - reader.matrix[None]  # (batch, classes, n)
    sums = filtered_sums(weights, reader.signal, last.rule)
    return Box(sums.lower[:, samples, neurons[1]], sums.upper[:, samples, neurons[1]])
