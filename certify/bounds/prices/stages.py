"""A network under perturbation, layer by layer: what the priced bounds work on.

F4: input-output gains as certificates of the real network.

Take a reference run on the sample itself. A perturbation of the input moves a layer's currents by w with
Σ_t ‖w[t]‖² ≤ ρ², ρ = (proven norm of the affine map)·(bound of what moves its input): the gain. A neuron can leave
its reference train only if its own share ‖w_j‖ reaches the distance between its reference and the nearest row
that holds another train:

* behind a constant current, a row of F1's table, at distance |I_j − row|;
* elsewhere, 'the trains agree before step t and differ there': while they agree, the potentials differ by at most
  g_t·‖w_j‖, g_t² = Σ (λ^{t−k}·a[k])² over the steps since the last reset of the reference (pattern-preserving
  bound), so the distance is |v̄[t] − θ|/g_t. From t on, the train may be anything.

So each neuron has rows (distance d_r, effect e_r), and the worst effect of the layer is at most

    max over choices r_j with Σ_j d_{r_j}² ≤ ρ² of Σ_j e_{r_j} ≤ min over κ ≥ 0 of κρ² + Σ_j max_r (e_r − κ·d_r²),

separable, and convex in κ. With e = the margin lost it certifies the last layer; with e = the squared change of
the train it bounds what moves the next layer's input. The run's rounding is taken off each distance.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import singledispatch

import torch
from torch import Tensor

from ....models.circuit import Circuit, Recurred, fold
from ....models.linear_neuron import leaking, linear
from ....models.rules import Leaky, plain
from ....models.running.encoding import LINEAR
from ....models.running.membrane import simulate
from ...rounding import Rounding, reading_slack
from ..propagation import Propagation, check_readout, input_signal, readout_row
from ..signals.chains import Chain, FilteredBranches, SourcedChain, branches_of
from ..signals.signals import InputSignal, Signal
from ..signals.windows import Box
from ..trains.recurrent import looped
from ..trains.resting import separable
from ..trains.train_graph import GraphTrains
from ..trains.train_table import TableTrains, TrainBound, Trains
from ..trains.trains import conserved_spikes

MOST_KINDS = 12
"""The most kinds of neurons, over all layers of several kinds, that have stages of their own: each takes time."""


AT_ONCE = 1024
"""Rows of a layer's matrix that are made at once: a layer that shares its weights makes each of a whole image."""


@dataclass(frozen=True)
class Stage:
    """One spiking layer with the chains in front of it.

    Attributes:
        branches: its current is the sum of these; slack and biases that they share are the first one's.
        rule: of its neurons.
        trains: what is known of them.
        lower, upper: its currents, (1 or T, batch, ...).
        moduli: what the moduli of their products and biases add up to at most, (1 or batch, ...).
        split: where a branch restricts a neuron's trains, (batch, ...) of bool: its current carries a price even
            where only one train is left, since that train says where the current lies. None: no branch.
    """

    branches: tuple[SourcedChain, ...]
    rule: Leaky
    trains: Trains
    lower: Tensor
    upper: Tensor
    moduli: Tensor
    split: Tensor | None = None

    @property
    def chain(self) -> Chain:
        """Return the affine layers before it, where there is no residual sum among them."""
        return _single(self.branches)

    @property
    def priceable(self) -> bool:
        """Return whether prices reach the layer."""
        return self.trains.priceable(self.rule.decay)

    @property
    def scale(self) -> Tensor:
        """Return a[t], (T,)."""
        return self.lower.new_tensor(self.rule.factors(self.trains.num_steps))

    def slack(self, scale: Tensor, pairs: tuple[Tensor, Tensor]) -> Tensor:
        """Return the chain's rounding of the currents, times `scale`, of pairs (sample, neuron), (steps, P)."""
        slack = self.branches[0].chain.slack.expand(self.lower.shape[1:]).flatten(1)
        return slack[pairs] * scale.abs()[:, None]

    def widest(self, scale: Tensor, pairs: tuple[Tensor, Tensor]) -> Tensor:
        """Return a bound of the scaled currents of pairs (sample, neuron), (P,)."""
        return self.lower.abs().maximum(self.upper.abs()).amax(0).flatten(1)[pairs] * scale.abs().max()

    def matrix(self) -> tuple[Tensor, Tensor]:
        """Return the sum of its chains, all from one signal, as one matrix (n, features) and its bias (n,)."""
        numbers, shape = self.lower[0, 0].numel(), self.lower.shape[2:]
        unit = self.lower.new_zeros(min(numbers, AT_ONCE), numbers)
        parts = []
        for rows in torch.arange(numbers, device=unit.device).split(len(unit)):
            each = unit[: len(rows)].scatter(1, rows[:, None], 1.0).view(-1, *shape)
            parts.append(_pulled(self.branches, each))
        matrix, bias = zip(*parts, strict=True)
        return torch.cat(matrix), torch.cat(bias)

    @property
    def filtered(self) -> FilteredBranches | None:
        """Return the one filter, of chains from signals themselves, that all its current goes through; or None."""
        (origin, *others) = (branch.origin for branch in self.branches)
        if others or not isinstance(origin, FilteredBranches):
            return None
        return origin if all(branch.direct for branch in origin.branches) else None

    def over_time(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return H (T, T), a matrix (n, features) and a bias (T, n): I[t] = matrix·Σ_k H[t,k]·x[k] + bias[t].

        All its chains start from one signal x, or from one filter of it.
        """
        known, steps = self.filtered, self.trains.num_steps
        if known is None:
            matrix, bias = self.matrix()
            return torch.eye(steps, dtype=matrix.dtype, device=matrix.device), matrix, bias.expand(steps, -1)
        prices, behind = self.branches[0].chain.pull_back(self._unit)
        matrix, before = _pulled(known.branches, prices)
        return known.rows, matrix, behind + known.rows.sum(1)[:, None] * before

    @property
    def _unit(self) -> Tensor:
        """Return the unit vectors of its neurons."""
        shape = self.lower.shape[2:]
        return torch.eye(shape.numel(), dtype=self.lower.dtype, device=self.lower.device).view(-1, *shape)


@dataclass(frozen=True)
class Staged:
    """A network over a set of inputs.

    Attributes:
        source: the input set.
        stages: the spiking layers, first first.
        ends: the sum of chains that the readout takes.
        moduli: as a stage's, of what the readout takes.
        row: the readout over time, (T,).
        rounding: the dtype of the run.
    """

    source: InputSignal
    stages: tuple[Stage, ...]
    ends: tuple[SourcedChain, ...]
    moduli: Tensor
    row: Tensor
    rounding: Rounding

    @property
    def sequential(self) -> bool:
        """Return whether each stage reads the one before it, and nothing else."""
        readers = [*(stage.branches for stage in self.stages), self.ends]
        return all(len(branches) == 1 and branches[0].origin == index for index, branches in enumerate(readers))

    @property
    def gated(self) -> bool:
        """Return whether all that is behind the first stage reads spikes alone, and before it is no max pool.

        Before it may be one filter of all its current.
        """
        first = self.stages[0]
        if first.filtered is None and not all(branch.direct for branch in first.branches):
            return False
        readers = [*(stage.branches for stage in self.stages[1:]), self.ends]
        return all(source > 0 for branches in readers for branch in branches for source in branch.sources)


def staged(
    circuit: Circuit, inputs: Box, spikes: TrainBound = conserved_spikes, sums: bool = False
) -> Staged | None:
    """Return the network in stages; None for one without neurons, no plain sequence, or other rules.

    Args:
        circuit: the network.
        inputs: the input set of each row of the batch.
        spikes: what finds the trains of each layer, first layer first.
        sums: whether residual sums, max pools, loops, filters over time and layers of several kinds of neurons (a
            stage each) are welcome.
    """
    varied = [node.rule for node in circuit.spiking if linear(node.rule)]
    if not sums and (circuit.recurs or circuit.adds or circuit.pools or circuit.filters or varied):
        return None
    if not all(plain(node.rule) if node.kind == "recurred" else leaking(node.rule) for node in circuit.spiking):
        return None
    if not all(map(separable, varied)) or sum(len(rule.kinds) for rule in varied) > MOST_KINDS:
        return None
    if circuit.read.readout not in LINEAR:
        return None
    rounding, source = Rounding.of(circuit), input_signal(circuit, inputs)
    recorded: list[Stage] = []
    signals: list[Signal] = [source]

    def record(current: Signal, rule: Leaky, rounding: Rounding) -> Trains:
        """Find the trains of a layer and note its stage."""
        return note(current, rule, spikes(current, rule, rounding))

    def note(current: Signal, rule: Leaky, found: Trains) -> Trains:
        """Note the stage of a layer."""
        box = current.steps()
        branches = branches_of(current, signals)
        recorded.append(Stage(branches, rule, found, box.lower, box.upper, current.magnitude()))
        signals.append(found)
        return found

    last = fold(circuit, _Staging(source, record, rounding, spikes, note))[-1]
    if not recorded or not all(stage.trains.priced for stage in recorded):
        return None
    check_readout(circuit, last, rounding)
    first, *others = branches_of(last, signals)
    if circuit.read.readout == "spikes":  # no affine layer's slack covers the rounding of the mean over time
        slack = first.chain.slack + reading_slack(last.magnitude(), rounding)
        first = replace(first, chain=replace(first.chain, slack=slack))
    ends = (first, *others)
    row = readout_row(circuit, inputs.lower)[0]
    return Staged(source, tuple(recorded), ends, last.magnitude(), row, rounding)


@dataclass(frozen=True)
class _Staging(Propagation):
    """The propagation that notes stages, of a layer that hears itself the last pass alone.

    Attributes:
        trains: what finds the trains of a pass.
        note: what is told of a layer's current, rule and trains.
    """

    trains: TrainBound
    note: Callable[[Signal, Leaky, Trains], Trains]

    def recurred(self, node: Recurred, x: Signal) -> Signal:
        """Return the trains that are left after the last pass, noted with the currents they are found from."""
        current, found = looped(x, node, self.trains, self.rounding)
        assert plain(node.rule)
        return self.note(current, node.rule, found)


def _pulled(branches: tuple[SourcedChain, ...], prices: Tensor) -> tuple[Tensor, Tensor]:
    """Return what `prices`, (n, ...), on a sum of chains are on their source, (n, features), and the constants."""
    pulled = [branch.chain.pull_back(prices) for branch in branches]
    matrix, bias = (torch.stack(parts).sum(0) for parts in zip(*pulled, strict=True))
    return matrix.flatten(1), bias


def _single(branches: tuple[SourcedChain, ...]) -> Chain:
    (branch,) = branches
    return branch.chain


SEARCH = 40
"""Golden-section steps for κ: any κ gives a sound bound, so this is only a matter of tightness."""


@dataclass(frozen=True)
class Rows:
    """What each neuron of a layer may do, and how far it must be moved for it.

    Attributes:
        distance: d, (batch, neurons, rows); inf for a row that is out of reach.
        least, most: the spikes that the row admits, (batch, neurons, rows, T).
        reference: s̄, (T, batch, ...).
    """

    distance: Tensor
    least: Tensor
    most: Tensor
    reference: Tensor

    def lost(self, costs: Tensor, samples: Tensor) -> Tensor:
        """Return the most that Σ_t costs[t]·s[t] can fall below its reference, (S, neurons, rows).

        Args:
            costs: A, (T, S, ...).
            samples: of each specification, (S,).
        """
        weight = costs.flatten(2).permute(1, 2, 0)[:, :, None]
        before = self._reference()[samples]
        fall = weight.clamp_min(0) * (before - self.least[samples])
        return (fall + weight.clamp_max(0) * (before - self.most[samples])).sum(3)

    def changed(self) -> Tensor:
        """Return the most spikes that differ from the reference, (batch, neurons, rows)."""
        before = self._reference()
        return (before - self.least).maximum(self.most - before).sum(3)

    def _reference(self) -> Tensor:
        return self.reference.flatten(2).permute(1, 2, 0)[:, :, None]


@singledispatch
def gain_rows(found: Trains, stage: Stage, current: Tensor) -> Rows:
    """Return the rows of a layer for its reference currents, (1 or T, batch, ...)."""
    raise TypeError(f"trains: got {type(found).__name__}, which no gains reach")


@gain_rows.register
def _table_rows(found: TableTrains, stage: Stage, current: Tensor) -> Rows:
    """Return the rows behind a constant current."""
    current = current[0]
    table, flat = found.table, current.flatten(1)[:, :, None]
    row = torch.arange(len(table.lower), device=current.device)
    first, last = found.first.flatten(1)[:, :, None], found.last.flatten(1)[:, :, None]
    slack = stage.chain.slack.expand_as(current).flatten(1)[:, :, None]
    away = (table.lower - flat).maximum(flat - table.upper) - slack
    inside = (row >= first) & (row <= last)
    distance = torch.where(inside, away.clamp_min(0.0), torch.inf)
    own = torch.searchsorted(table.upper, flat.squeeze(2).contiguous())
    reference = table.trains[own].permute(2, 0, 1).unflatten(2, current.shape[1:])
    trains = table.trains.expand(*distance.shape, -1)
    return Rows(distance, trains, trains, reference)


@gain_rows.register
def _graph_rows(found: GraphTrains, stage: Stage, current: Tensor) -> Rows:
    """Return the rows behind currents that vary."""
    rule, steps = stage.rule, found.num_steps
    current = current.expand(steps, *current.shape[1:])
    factors = current.new_tensor(rule.factors(steps))
    potentials, spikes = simulate(current, factors, rule.dynamics, steps)
    slack = found.drives.slack + factors.abs().max() * stage.chain.slack
    margin = (potentials - rule.threshold).abs() - 2 * steps * slack
    margin = margin - (found.drives.surely - found.drives.perhaps)
    distance = torch.where(margin <= 0, 0.0, margin / _reach(spikes, factors, rule))
    distance = distance.flatten(2).permute(1, 2, 0)
    box = found.steps()
    low, high, own = (part.flatten(2).permute(1, 2, 0) for part in (box.lower, box.upper, spikes))
    late = torch.ones(steps, steps, dtype=torch.bool, device=current.device).triu()
    least = torch.where(late, low[:, :, None], own[:, :, None])
    most = torch.where(late, high[:, :, None], own[:, :, None])
    same = own[:, :, None]
    return Rows(
        torch.cat((torch.zeros_like(distance[:, :, :1]), distance), 2),
        torch.cat((same, least.minimum(same)), 2),
        torch.cat((same, most.maximum(same)), 2),
        spikes,
    )


def _reach(spikes: Tensor, factors: Tensor, rule: Leaky) -> Tensor:
    """Return g_t, the ℓ2 gain from a current's perturbation to the potential at t while the trains agree."""
    square, reach = torch.zeros_like(spikes[0]), []
    for spike, factor in zip(spikes, factors, strict=True):
        square = rule.decay**2 * square + factor**2
        reach.append(square.sqrt() * (1 + 1e-12))
        if rule.reset == "zero":
            square = square * (1.0 - spike)
    return torch.stack(reach)


def worst_sum(effect: Tensor, distance: Tensor, budget: Tensor) -> Tensor:
    """Return min over κ ≥ 0 of κ·budget² + Σ_j max_r (effect − κ·distance²), (batch,).

    Args:
        effect: e, (batch, neurons, rows).
        distance: d, with the shape of `effect`; inf for a row that is out of reach.
        budget: ρ, (batch,).

    The function of κ is convex; a golden-section search on log κ finds its least value nearly, and every κ that
    it visits (and κ = 0) is an upper bound, so the least visited is returned.
    """
    square = distance.square()
    reachable = distance <= budget[:, None, None]
    effect = torch.where(reachable, effect, -torch.inf)
    square = torch.where(reachable, square, 0.0)

    def value(kappa: Tensor) -> Tensor:
        return kappa * budget.square() + (effect - kappa[:, None, None] * square).amax(2).sum(1)

    low, high = torch.full_like(budget, -20.0), torch.full_like(budget, 20.0)
    best = value(torch.zeros_like(budget))
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    for _ in range(SEARCH):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        at_left, at_right = value(left.exp()), value(right.exp())
        best = best.minimum(at_left).minimum(at_right)
        falling = at_left > at_right
        low, high = torch.where(falling, left, low), torch.where(falling, high, right)
    return best + 1e-12 * (best.abs() + effect.clamp_min(0).amax(2).sum(1))
