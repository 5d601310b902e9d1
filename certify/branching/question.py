"""What a search is about: specifications of samples of one network, over one set of inputs around each.

Deciding the first spiking layer's trains decides a network that is `gated`: where every chain behind that layer
starts from spikes. Proof by induction over the spiking layers in execution order. The current of layer k > 1 is a
sum of affine maps of spikes of layers before k, none of them of the input (a residual sum is one of these sums,
whether its shortcut carries spikes or currents made of spikes). If those trains are known the current is known at
each step, and with it the membrane, from u[0] = 0 on, and the train. The logits are such a sum too. So the margin
is a function of the first layer's trains, and a node that leaves one train to each of its neurons is a leaf. A
later layer that hears itself adds a map of its own spikes of one step before: induction over its steps. A first
layer that does is left to others: what is decided of its trains would have to be heard, too.

Where a sum carries the input itself past the first layer, a later current still moves with the input after all
first-layer trains are decided: `roots` refuses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count

import torch
from torch import Tensor

from ...models.circuit import Circuit, Recurred, circuit
from ...models.linear_neuron import linear
from ...models.networks import SpikingNetwork, Trace
from ...models.rules import Leaky, Rule, plain
from ..bounds.prices.price_search import bytes_each, zero_prices
from ..bounds.prices.prices import Specifications
from ..bounds.prices.stages import Staged, staged
from ..bounds.signals.signals import Signal
from ..bounds.signals.windows import Box
from ..bounds.trains.train_table import TrainBound, TrainRows, Trains
from ..bounds.trains.trains import conserved_spikes, decidable_spikes, train_spikes
from ..perturbations import Perturbation
from ..questions.classes import ClassGoal
from ..questions.rows import RowGoal
from ..rounding import Rounding
from ..ties import STRICT
from .nodes.decisions import Nodes, Restricted, Splits, root
from .ranges import FirstLayer, RangeSearch
from .rates import RateDecisions, rate_root


@dataclass(frozen=True)
class MarginQuestion:
    """Margins to bound.

    Attributes:
        network: in evaluation mode.
        inputs, labels: the samples, (batch, ...), (batch,).
        perturbation: the set around each.
        specifications: row r asks for coefficients[r]·logits − floor[r] of sample samples[r].
        ties: "argmax" or "strict": which candidates are counterexamples.
        ranges: how a node's decisions narrow its other currents; None: not at all.
        spikes: what finds the trains of the layers behind the first one.
        rows: of a property that is asked in place of the class.
        groups: rows of one number are alternatives: at each run one of them is to be positive, (rows,); None: each
            row is asked by itself. A search begins with the first of each, and goes on with whichever is greatest
            at a node's candidate: what bounds one row bounds the greatest of all from below.
    """

    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor
    perturbation: Perturbation
    specifications: Specifications
    ties: str = STRICT
    ranges: RangeSearch | None = field(default_factory=RangeSearch)
    spikes: TrainBound = conserved_spikes
    rows: RowGoal | None = None
    groups: Tensor | None = None

    @property
    def goal(self) -> ClassGoal | RowGoal:
        """Return what is asked."""
        return ClassGoal.of(self.circuit, self.ties) if self.rows is None else self.rows

    @staticmethod
    def of_rows(
        network: SpikingNetwork,
        inputs: Tensor,
        labels: Tensor,
        perturbation: Perturbation,
        rows: RowGoal,
        left: Tensor,
    ) -> "MarginQuestion":
        """Ask for the rows of a property wherever `left`, (batch, rows) of bool, is set."""
        samples, columns = left.nonzero(as_tuple=True)
        specifications = rows.specifications(labels, samples, columns, rows.floor(labels, left.shape[1]))
        groups = samples * rows.clauses + rows.clause[columns]
        groups = None if len(groups.unique()) == len(groups) else groups
        return MarginQuestion(
            network, inputs, labels, perturbation, specifications, rows.ties, rows=rows, groups=groups
        )

    @property
    def first_rows(self) -> Tensor:
        """Return the row that a search begins with for each group."""
        count = len(self.specifications.samples)
        if self.groups is None:
            return torch.arange(count, device=self.specifications.samples.device)
        return torch.tensor([int((self.groups == group).nonzero()[0]) for group in self.groups.unique()])

    def alternatives(self, row: int) -> Tensor:
        """Return the rows of one row's group, itself first."""
        if self.groups is None:
            return torch.tensor([row])
        others = (self.groups == self.groups[row]).nonzero().flatten()
        return torch.cat([torch.tensor([row]), others[others != row]])

    def joint(self, bound: Tensor) -> Tensor:
        """Return what bounds of rows say of each row's group, (rows,): that of the parts spent on any of them."""
        if self.groups is None:
            return bound
        _, place = self.groups.unique(return_inverse=True)
        least = bound.new_full((int(place.max()) + 1,), torch.inf).scatter_reduce(0, place, bound, "amin")
        return least[place]

    def chosen(self, rows: Tensor, logits: Tensor, inputs: Tensor) -> Tensor:
        """Return for each row that of its group which is greatest at a run, (N,)."""
        if self.groups is None:
            return rows
        asked, best = self.specifications, rows.clone()
        for index, row in enumerate(rows.tolist()):
            others = self.alternatives(row)
            found = asked.coefficients[others] @ logits[index].double()
            if asked.inputs is not None:
                found = found + asked.inputs[others].flatten(1) @ inputs[index].double().flatten()
            if asked.floor is not None:
                found = found - asked.floor[others]
            best[index] = others[found.nan_to_num(-torch.inf).argmax()]
        return best

    @staticmethod
    def of_margins(
        network: SpikingNetwork,
        inputs: Tensor,
        labels: Tensor,
        perturbation: Perturbation,
        left: Tensor,
        ties: str = STRICT,
    ) -> "MarginQuestion":
        """Ask for logit_y − logit_k wherever `left`, (batch, classes) of bool, is set, above the goal's floor."""
        made = circuit(network)
        floor = ClassGoal.of(made, ties).floor(labels, left.shape[1])
        samples, classes = left.nonzero(as_tuple=True)
        specifications = Specifications.of_margins(labels, samples, classes, floor)
        return MarginQuestion(network, inputs, labels, perturbation, specifications, ties)

    @cached_property
    def circuit(self) -> Circuit:
        """Return the network's circuit."""
        return circuit(self.network)

    def samples(self, nodes: Nodes) -> Tensor:
        """Return the sample of each node, (N,)."""
        return self.specifications.samples[nodes.row]

    def staged(self, nodes: Nodes) -> tuple[Staged, Tensor]:
        """Return the network with one row of the batch per node, and which nodes are empty, (N,) of bool."""
        first: list[_First] = []

        def restrict(found: Trains) -> Trains:
            """Restrict the first layer to what each node has decided."""
            first.append(self._first(found, nodes))
            return first[0].restricted.trains

        enclosure = self.perturbation.enclosure(self.inputs[self.samples(nodes)])
        network = self._stages(nodes.decisions.enclosure(enclosure), restrict)
        assert network is not None
        return first[0].put(network), first[0].restricted.empty

    def _stages(self, inputs: Box, restrict: Callable[[Trains], Trains]) -> Staged | None:
        """Return the network over an input set in stages, the first one's trains as `restrict` leaves them."""
        layers = count()

        def spikes(current: Signal, rule: Leaky, rounding: Rounding) -> Trains:
            """Return the trains of each layer in turn."""
            if next(layers) > 0:
                return self.spikes(current, rule, rounding)
            return restrict(decidable_spikes(current, rule, rounding))

        return staged(self.circuit, inputs, spikes, sums=True)

    def _first(self, found: Trains, nodes: Nodes) -> "_First":
        """Restrict the first layer's trains to each node's decisions, and to what follows for its currents."""
        restricted = nodes.decisions.restrict(found)
        layer = self._currents
        if self.ranges is None or layer is None:
            return _First(restricted, None)
        samples = self.samples(nodes)
        prices = nodes.prices[-1].abs().sum(1)
        box, empty = self.ranges.narrowed(layer, samples, restricted.trains, restricted.split, prices)
        rows = restricted.trains.table.reachable(box)
        first, last = (row.view_as(restricted.trains.first) for row in rows)
        left = nodes.decisions.restrict(replace(restricted.trains, first=first, last=last))
        left = replace(left, split=restricted.split, empty=left.empty | empty | restricted.empty)
        return _First(left, box)

    def narrowing(self, node: Nodes) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return what narrows the first layer's currents in one node, as `RangeSearch.of_node`; None: nothing."""
        layer, sample = self._currents, int(self.samples(node))
        if self.ranges is None or layer is None:
            return None
        whole = replace(layer.rows, first=layer.rows.first[[sample]], last=layer.rows.last[[sample]])
        restricted = node.decisions.restrict(whole)
        if not bool(restricted.split.any()):
            return None
        prices = node.prices[-1].abs().sum(1)
        return self.ranges.of_node(layer, sample, restricted.trains, restricted.split, prices)

    @property
    def foresees(self) -> bool:
        """Return whether it is foreseen what splits decide; elsewhere they are chosen by what a run shows."""
        ranges = self.ranges
        return ranges is not None and min(ranges.iterations, ranges.cuts) > 0 and self._currents is not None

    def best_cuts(
        self, nodes: Nodes, found: TrainRows, split: Tensor, score: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return where nodes are best split, as `RangeSearch.best_cuts`, where it `foresees`."""
        layer = self._currents
        assert self.ranges is not None
        assert layer is not None
        return self.ranges.best_cuts(layer, self.samples(nodes), found, split, score, weights)

    @cached_property
    def _currents(self) -> FirstLayer | None:
        """The first layer's currents over each sample's set; None for rates, which nodes narrow themselves."""
        if self.circuit.source.draws is not None:
            return None
        network = staged(self.circuit, self.perturbation.enclosure(self.inputs), train_spikes, sums=True)
        assert network is not None
        return FirstLayer.of(network)

    def roots(self) -> Nodes | None:
        """Return one node per row that has decided nothing, or None where branching does not reach the network."""
        return self.starts() if self.decisive else None

    @property
    def decisive(self) -> bool:
        """Return whether the margins are functions of the trains that decisions are about."""
        network = self._whole
        others = not all(map(plain, (node.rule for node in self.circuit.spiking)))
        return network is not None and network.gated and not others

    def starts(self) -> Nodes | None:
        """Return such nodes of any network with prices: decisions about its first layer may leave margins open."""
        network = self._whole
        if network is None:
            return None
        roots, draws = _roots(network, len(self.specifications.samples)), self.circuit.source.draws
        if draws is None:
            return roots.select(self.first_rows)
        rates = self.perturbation.enclosure(self.inputs[self.specifications.samples])
        if rates.budget is not None:
            return None
        thresholds = draws.thresholds(self.circuit.num_steps, tuple(self.inputs.shape[1:]))
        return replace(roots, decisions=rate_root(roots.decisions, rates, thresholds)).select(self.first_rows)

    def inputs_at(self, nodes: Nodes, signal: Tensor) -> Tensor:
        """Return allowed inputs, (N, ...), near signals (T or 1, N, ...) that enter the first layer."""
        around = self.inputs[self.samples(nodes)]
        if isinstance(nodes.decisions, RateDecisions):
            found = nodes.decisions.rates_of(signal.flatten(2)).view(around.shape)
        else:
            found = self.circuit.rearranged(signal)
        return self.perturbation.project(found.to(around.dtype), around)

    def trace(self, inputs: Tensor) -> Trace:
        """Return what happens at inputs (N, ...), stage by stage: each kind of neurons of a layer by itself."""
        trace = self.network.trace(inputs)
        rules = [node.rule for node in self.circuit.spiking]
        if all(map(plain, rules)):
            return trace
        currents, potentials, spikes = (
            _of_kinds(signals, rules) for signals in (trace.currents, trace.potentials, trace.spikes)
        )
        return Trace(currents, potentials, spikes, trace.logits)

    @property
    def bytes_each(self) -> int:
        """Return about how many bytes it takes to bound a node, where there are roots."""
        network = self._whole
        assert network is not None
        return bytes_each(network)

    @cached_property
    def _whole(self) -> Staged | None:
        """Return the network over the first sample's set; None where branching does not know it."""
        if len(self.specifications.samples) == 0 or isinstance(self.circuit.fired[0], Recurred):
            return None
        return self._stages(self.perturbation.enclosure(self.inputs[:1]), lambda found: found)


@dataclass(frozen=True)
class _First:
    """The first layer of some nodes: its trains, and its narrowed currents, (N, n), where there are any."""

    restricted: Restricted
    currents: Box | None

    def put(self, network: Staged) -> Staged:
        """Put it into a network."""
        stage = network.stages[0]
        stage = replace(stage, split=self.restricted.split.view(stage.lower.shape[1:]))
        if self.currents is not None:
            lower, upper = (end.view_as(stage.lower) for end in (self.currents.lower, self.currents.upper))
            stage = replace(stage, lower=lower, upper=upper)
        return replace(network, stages=(stage, *network.stages[1:]))


def _of_kinds(signals: tuple[Tensor, ...], rules: Sequence[Rule | None]) -> tuple[Tensor, ...]:
    """Return each layer's signal (T, N, ...) as one of each kind of its neurons."""
    found = []
    for signal, rule in zip(signals, rules, strict=True):
        places = rule.places(tuple(signal.shape[2:])) if linear(rule) else None
        flat = signal.flatten(2)
        found += [signal] if places is None else [flat[:, :, place.to(flat.device)] for place in places]
    return tuple(found)


def _roots(network: Staged, size: int) -> Nodes:
    device, first = network.row.device, network.stages[0].trains
    prices = [price.float().expand(size, -1, -1) for price in zero_prices(network, 1)]
    none = torch.zeros(size, dtype=torch.long, device=device)
    bound = torch.full((size,), -torch.inf, dtype=torch.float64, device=device)
    row = torch.arange(size, device=device)
    return Nodes(row, bound, root(first, size), tuple(prices), Splits(none, none.clone()), none.clone())
