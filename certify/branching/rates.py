"""What a node of the search has decided of a rate code: part of each feature's chain of trains, besides spikes.

With given draws a feature's train is known once its rate lies between two neighbouring draws (see
bounds/rate_trains.py). So a node narrows rates, [low, high] for each feature, and is split at a draw u: x ≤ u
leaves the draw silent, x > u makes it spike. Deciding the first layer's spikes prices the input, which proves much
more than one feature's spikes do, so features are split only where no train of the first layer is open. A node
in which all of them are decided has one input train, which is run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...models.networks import Trace
from ..bounds.prices.priced_layer import Least
from ..bounds.prices.prices import Costs, Evaluation, PricedProblem
from ..bounds.signals.windows import Box
from ..bounds.trains.train_table import Trains
from .nodes.decisions import LEVEL, Decisions, Places, Restricted, Splits


@dataclass(frozen=True)
class RateDecisions(Decisions[Trains]):
    """The decisions of N nodes about n neurons and about the rates of their inputs.

    A split of "neuron" n + i is one of feature i, and its place is the step of the draw.

    Attributes:
        layer: about the first spiking layer.
        low, high: the rates that are left, (N, inputs), float64.
        draws: u, (T, inputs).
    """

    layer: Decisions
    low: Tensor
    high: Tensor
    draws: Tensor

    def restrict(self, found: Trains) -> Restricted:
        """Restrict the first layer."""
        return self.layer.restrict(found)

    def split(self, found: Trains, nodes: Tensor, score: Tensor, least: Least, trace: Trace) -> Places:
        """Split the first layer: of features see `split_features`."""
        return self.layer.split(found, nodes, score, least, trace)

    def enclosure(self, box: Box) -> Box:
        """Return the rates that are left."""
        return Box(self.low.view_as(box.lower), self.high.view_as(box.upper))

    @property
    def size(self) -> int:
        """Return how many neurons and features there are."""
        return self.layer.size + self.draws.shape[1]

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the layer's, then both ends of the rates."""
        return (*self.layer.tensors(), self.low, self.high)

    def of(self, tensors: Sequence[Tensor]) -> "RateDecisions":
        """Return decisions about the same draws."""
        *layer, low, high = tensors
        return RateDecisions(self.layer.of(layer), low, high, self.draws)

    def children(self, neuron: Tensor, place: Tensor) -> tuple["RateDecisions", "RateDecisions"]:
        """Return both sides of a neuron's split, or rates up to a draw and rates above it."""
        inner = neuron < self.layer.size
        one, other = self.layer.children(torch.where(inner, neuron, 0), torch.where(inner, place, 0))
        node, feature = torch.arange(len(neuron), device=neuron.device), (neuron - self.layer.size).clamp_min(0)
        draw = self.draws[torch.where(inner, 0, place), feature]
        low, high = self.low.clone(), self.high.clone()
        above = draw.nextafter(torch.full_like(draw, torch.inf)).maximum(low[node, feature])
        low[node, feature] = torch.where(inner, low[node, feature], above)
        high[node, feature] = torch.where(inner, high[node, feature], draw.minimum(high[node, feature]))
        return (
            replace(self, layer=self._where(inner, one), high=high),
            replace(self, layer=self._where(inner, other), low=low),
        )

    def _where(self, chosen: Tensor, layer: Decisions) -> Decisions:
        """Return the layer's decisions, those of some nodes replaced."""
        pairs = zip(layer.tensors(), self.layer.tensors(), strict=True)
        return layer.of([torch.where(chosen.view(-1, *[1] * (new.dim() - 1)), new, old) for new, old in pairs])

    def counts(self) -> tuple[Tensor, Tensor]:
        """Return the fewest and the most spikes of each feature, (N, inputs) each."""
        draws = self.draws[:, None]
        return (draws < self.low).sum(0), (draws < self.high).sum(0)

    def within(self, fewest: Tensor, most: Tensor) -> "RateDecisions":
        """Return the decisions where each feature has `fewest` to `most` spikes, (N, inputs) each."""
        low, high = self._ends(fewest)[0], self._ends(most)[1]
        return replace(self, low=low.maximum(self.low), high=high.minimum(self.high))

    def rates_of(self, spikes: Tensor) -> Tensor:
        """Return rates with as many spikes as given, or nearly so, (N, inputs), for spikes (T, N, inputs).

        They are in the middle between two draws, so that rounding to the run's dtype passes neither.
        """
        low, high = self._ends(spikes.sum(0).round().long().clamp(0, len(self.draws)))
        low, high = low.maximum(self.low), high.minimum(self.high)
        return ((low + high) / 2).maximum(self.low).minimum(self.high)

    def _ends(self, count: Tensor) -> tuple[Tensor, Tensor]:
        """Return the least and the greatest rate with `count` spikes, (N, inputs) each."""
        draws = self.draws.sort(0).values
        low = torch.cat([torch.full_like(draws[:1], -torch.inf), draws])
        high = torch.cat([draws, torch.full_like(draws[:1], torch.inf)])
        least = low.gather(0, count)
        return least.nextafter(torch.full_like(least, torch.inf)), high.gather(0, count)


def rate_root(layer: Decisions, rates: Box, draws: Tensor) -> RateDecisions:
    """Return nodes that have decided nothing of their rates.

    Args:
        layer: of N nodes.
        rates: (N, ...).
        draws: u, (T, ...).
    """
    return RateDecisions(layer, rates.lower.flatten(1), rates.upper.flatten(1), draws.to(rates.lower).flatten(1))


@dataclass(frozen=True)
class Chains:
    """The chains of N nodes' features, at the prices of a bound.

    Attributes:
        sums: of the costs of the first 0, 1, …, T spikes, (T + 1, N, inputs).
        fewest, most: how many spikes the nodes' rates make, (N, inputs).
    """

    sums: Tensor
    fewest: Tensor
    most: Tensor

    @staticmethod
    def of(problem: PricedProblem, prices: list[Tensor], decisions: RateDecisions) -> "Chains":
        """Return those of S nodes; of `prices` the last are the first layer's."""
        layer, samples = problem.layers[-1], problem.specifications.samples
        costs = Costs(problem.network, samples)
        costs.pull_back(layer.stage.branches, layer.spread(layer.allowed(prices[-1])))
        found = costs.of(0).flatten(2)
        order = decisions.draws.argsort(0).unsqueeze(1).expand_as(found)
        sums = torch.cat([torch.zeros_like(found[:1]), found.gather(0, order).cumsum(0)])
        return Chains(sums, *decisions.counts())

    @property
    def reachable(self) -> Tensor:
        """Return which sums belong to a train of a node, (T + 1, N, inputs) of bool."""
        count = torch.arange(len(self.sums), device=self.sums.device)[:, None, None]
        return (count >= self.fewest) & (count <= self.most)

    def least(self) -> tuple[Tensor, Tensor]:
        """Return each feature's least sum and its number of spikes, (N, inputs) each."""
        least = torch.where(self.reachable, self.sums, torch.inf).min(0)
        return least.values, least.indices


def trim_rates(
    problem: PricedProblem, prices: list[Tensor], evaluation: Evaluation, decisions: RateDecisions
) -> RateDecisions:
    """Return the decisions without the ends of chains that are proven at the node's own prices.

    As `trimming.trim_rows`: with another number of spikes in place of the least one, the node's bound is one for
    that part of the node alone.
    """
    chains = Chains.of(problem, prices, decisions)
    least, attained = chains.least()
    count = torch.arange(len(chains.sums), device=least.device)[:, None, None]
    proven = evaluation.bound[:, None] - least + chains.sums > 2 * LEVEL
    needed = chains.reachable & (~proven | (count == attained))
    fewest, most = needed.int().argmax(0), len(count) - 1 - needed.int().flip(0).argmax(0)
    return decisions.within(fewest, most)


def split_features(
    problem: PricedProblem, prices: list[Tensor], decisions: RateDecisions, weights: Tensor | float
) -> tuple[Splits, Tensor]:
    """Return where to split a feature of each node, and whether one is open, (N,) of bool.

    The feature whose chain has the widest range of costs is split next to its least sum.
    """
    chains = Chains.of(problem, prices, decisions)
    least, attained = chains.least()
    width = torch.where(chains.reachable, chains.sums, -torch.inf).amax(0) - least
    is_open = chains.fewest < chains.most
    feature = torch.where(is_open, width * weights, -1.0).argmax(1)
    node = torch.arange(len(feature), device=feature.device)
    sooner = attained[node, feature].minimum((chains.most[node, feature] - 1).clamp_min(0))
    place = decisions.draws.argsort(0)[sooner, feature]
    return Splits(feature + decisions.layer.size, place), is_open.any(1)
