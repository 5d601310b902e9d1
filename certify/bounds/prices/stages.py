"""A network under perturbation, layer by layer: what the priced bounds work on."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ....models.circuit import Circuit, Recurred, fold
from ....models.linear_neuron import LinearNeuron, leaking
from ....models.rules import Leaky, plain
from ....models.running.readouts import LINEAR
from ...rounding import Rounding, reading_slack
from ..propagation import Propagation, check_readout, input_signal
from ..readouts import readout_row
from ..signals.box import Box
from ..signals.chains import Chain, FilteredBranches, SourcedChain, branches_of
from ..signals.signals import InputSignal, Signal
from ..trains.base import TrainBound, Trains
from ..trains.recurrent import looped
from ..trains.trains import conserved_spikes
from ..trains.varied import separable

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
    varied = [node.rule for node in circuit.spiking if isinstance(node.rule, LinearNeuron)]
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
        assert isinstance(found, Trains)
        return self.note(current, node.rule, found)


def _pulled(branches: tuple[SourcedChain, ...], prices: Tensor) -> tuple[Tensor, Tensor]:
    """Return what `prices`, (n, ...), on a sum of chains are on their source, (n, features), and the constants."""
    pulled = [branch.chain.pull_back(prices) for branch in branches]
    matrix, bias = (torch.stack(parts).sum(0) for parts in zip(*pulled, strict=True))
    return matrix.flatten(1), bias


def _single(branches: tuple[SourcedChain, ...]) -> Chain:
    (branch,) = branches
    return branch.chain
