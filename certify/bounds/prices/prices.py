"""F3 and F6: a lower bound of a margin by prices on the currents between layers (Lagrangian duality).

Let A_D[t] be the margin's coefficients on the last layer's spikes. For any prices μ on a layer's scaled currents
c[t] = a[t]·(W·s[t] + b),

    Σ_t A[t]·s[t] = Σ_t (A[t]·s[t] − μ[t]·c[t]) + Σ_t μ[t]·c[t]
                  ≥ min over trains and currents of the first sum + Σ_t (Wᵀ a[t]μ[t])·s_before[t] + Σ_t μ·a·b,

and the second sum is the same question for the layer before, with A[t] = a[t]·Wᵀμ[t], down to the input set,
where it is answered in closed form. The first sum splits into neurons: a shortest path on a priced graph
(priced_layer.py) or the corners of a priced table (priced_layer.py). Any μ gives a valid bound, μ = 0 that of the
trains alone; the bound is concave in all prices, with supergradient c(best trains before) − c(first minimiser).

A layer that hears itself (F16) has c[t] = a[t]·(W·s_before[t] + V·s[t−1] + b), s[0] = 0. So Σ_t μ[t]·c[t] holds
Σ_t (Vᵀ a[t+1]μ[t+1])·s[t] besides, μ[T+1] = 0, costs on its own spikes: A[t] + Vᵀ a[t+1]μ[t+1] takes the place of
A[t] in the first sum. That is an identity of each run. The minimum is over trains and currents that hold those of
all runs, found by the induction over time of recurrent.py, each neuron by itself; so any μ gives a valid bound
here, too, and V's products and the sum are among what `slack` pays for.

Rounding: the run's currents are the exact chain of the run's own spikes up to `slack`, so Σ|μ|·slack is paid;
float64's own error is covered by `_arithmetic`, n·u times the sum of all moduli: also of products μ·W and μ·b that
a sum may cancel: Σ|μ|·(|W|·|s| + |b|).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .priced_layer import Least, PricedLayer
from .stages import SourcedChain, Staged


@dataclass(frozen=True)
class Specifications:
    """Margins to bound: row s asks for coefficients[s]·logits − floor[s] of sample `samples[s]`.

    Attributes:
        samples: (S,).
        coefficients: (S, classes).
        floor: what each margin must exceed, so that a bound above 0 is enough, (S,); None: 0 for all.
        inputs: coefficients e on the sample's input x, (S, ...): row s asks for coefficients[s]·logits + e·x −
            floor[s]; None: none.
    """

    samples: Tensor
    coefficients: Tensor
    floor: Tensor | None = None
    inputs: Tensor | None = None

    @staticmethod
    def of_margins(labels: Tensor, samples: Tensor, classes: Tensor, floor: Tensor) -> "Specifications":
        """Ask for logit_y − logit_k of `samples` and `classes` k; `floor` is that of all, (batch, classes)."""
        coefficients = floor.new_zeros(len(samples), floor.shape[1])
        coefficients.scatter_(1, labels[samples, None], 1.0).scatter_(1, classes[:, None], -1.0)
        return Specifications(samples, coefficients, floor[samples, classes])

    def subset(self, rows: Tensor) -> "Specifications":
        """Return some rows only."""
        return self.about(self.samples[rows], rows)

    def about(self, samples: Tensor, rows: Tensor) -> "Specifications":
        """Return some rows only, each about a sample of these."""
        floor = None if self.floor is None else self.floor[rows]
        inputs = None if self.inputs is None else self.inputs[rows]
        return Specifications(samples, self.coefficients[rows], floor, inputs)


@dataclass(frozen=True)
class Evaluation:
    """A bound and what attains it.

    Attributes:
        bound: one lower bound per specification, (S,).
        gradients: the supergradient in each layer's prices, last layer first.
        inputs: the minimising input of the relaxation, (1 or T, S, ...): a candidate counterexample.
        costs: the coefficients on each layer's spikes, last layer first, each (T, S, ...).
        minimisers: what attains each layer's part, last layer first.
        above: what the layers behind the first one leave: margin ≥ above + Σ costs[-1]·s for every run, s being
            the first layer's spikes, (S,).
    """

    bound: Tensor
    gradients: tuple[Tensor, ...]
    inputs: Tensor
    costs: tuple[Tensor, ...]
    minimisers: tuple[Least, ...]
    above: Tensor


@dataclass(frozen=True)
class PricedProblem:
    """Specifications of a staged network. `layers` runs from the last spiking layer to the first."""

    network: Staged
    specifications: Specifications
    layers: tuple[PricedLayer, ...]

    @staticmethod
    def of(network: Staged, specifications: Specifications) -> "PricedProblem":
        """Return the problem with its layers prepared for the specifications' samples."""
        layers = tuple(PricedLayer.of(stage, specifications.samples) for stage in reversed(network.stages))
        return PricedProblem(network, specifications, layers)

    def evaluate(self, prices: list[Tensor]) -> Evaluation:
        """Return the bound at `prices` and its supergradient."""
        prices = [layer.allowed(price) for layer, price in zip(self.layers, prices, strict=True)]
        costs, bound = self.readout()
        above = bound
        total, found, asked = bound.abs(), [], []
        for index, (layer, price) in enumerate(zip(self.layers, prices, strict=True)):
            place, above = len(self.layers) - index, bound
            asked.append(costs.of(place))
            spread = layer.spread(price)
            constant = costs.pull_back(layer.stage.branches, spread)
            own = costs.of(place)
            least = layer.least(own, price)
            bound = bound + least.value + constant
            total = total + least.size + own.abs().flatten(2).sum((0, 2)) + constant.abs()
            total = total + self._moduli(spread, layer.stage.moduli)
            found.append(least)
        last = costs.of(0)
        value, inputs = self._at_input(last)
        size = last.abs().flatten(2).sum((0, 2)) * self.network.source.magnitude().max().clamp_min(1.0)
        error = self._arithmetic(total + size + constant_size(bound, value))
        bound = _finite(bound + value - error)
        signals = [inputs, *(least.spikes for least in reversed(found))]
        gradients = [
            layer.gradient(signals, least.currents, price)
            for layer, least, price in zip(self.layers, found, prices, strict=True)
        ]
        return Evaluation(bound, tuple(gradients), inputs, tuple(asked), tuple(found), _finite(above - error))

    def readout(self) -> tuple["Costs", Tensor]:
        """Return the readout's coefficients on the input and on each stage's spikes, and its constant, (S,).

        What float64 may lose of the sums that make them is paid in the constant.
        """
        network, coefficients = self.network, self.specifications.coefficients
        costs = Costs(network, self.specifications.samples)
        slack = network.ends[0].chain.slack
        slack = slack.expand(network.source.box.lower.shape[1], *slack.shape[1:])[self.specifications.samples]
        weight = network.row.abs().sum()
        constant = -(coefficients.abs() * slack).flatten(1).sum(1) * weight
        constant = constant - self._arithmetic(self._moduli(coefficients.unsqueeze(0) * weight, network.moduli))
        if self.specifications.floor is not None:
            constant = constant - self.specifications.floor
        if self.specifications.inputs is not None:
            given, box = self.specifications.inputs, network.source.box
            costs.add(0, given.transpose(0, 1) if given.dim() == box.lower.dim() else given.unsqueeze(0))
        for branch in network.ends:
            pulled, part = branch.chain.pull_back(coefficients)
            over_time = network.row.reshape(-1, *([1] * pulled.dim())) * pulled
            constant = constant + part * network.row.sum() + costs.charge(branch, over_time)
        return costs, constant

    def _at_input(self, costs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the least Σ_t costs[t]·x[t] over the input set, and where it lies."""
        return self.network.source.least(costs, self.specifications.samples)

    def _moduli(self, prices: Tensor, moduli: Tensor) -> Tensor:
        """Return the sum of the moduli of prices (time, S, ...) times those of what they are on, (S,)."""
        moduli = moduli.expand(self.network.source.box.lower.shape[1], *moduli.shape[1:])
        return (prices.abs() * moduli[self.specifications.samples]).flatten(2).sum((0, 2))

    def _arithmetic(self, total: Tensor) -> Tensor:
        """Return a bound of float64's own rounding error."""
        return total * self.unit_error

    @property
    def unit_error(self) -> float:
        """Return what float64 may lose of a sum of moduli of 1: (200·T² + 8·terms)·u."""
        steps = len(self.network.row)
        terms = sum(stage.lower[0, 0].numel() for stage in self.network.stages) * steps
        terms += self.network.source.box.lower[:, 0].numel() + sum(end.chain.terms for end in self.network.ends)
        return (200 * steps**2 + 8 * terms) * torch.finfo(torch.float64).eps


def _finite(bound: Tensor) -> Tensor:
    """Return −∞ in place of NaN and +∞, which overflow leaves and which prove nothing."""
    return bound.nan_to_num(nan=-torch.inf, posinf=-torch.inf, neginf=-torch.inf)


def constant_size(bound: Tensor, value: Tensor) -> Tensor:
    """Return the size of what is added up last."""
    return bound.abs() + value.abs()


class Costs:
    """Coefficients on the input and on each stage's spikes, summed up as prices are pulled back."""

    def __init__(self, network: Staged, samples: Tensor) -> None:
        self._network, self._samples = network, samples
        self._found: dict[int, Tensor] = {}

    def add(self, source: int, costs: Tensor) -> None:
        """Add coefficients (1 or T, S, ...); those on an input that is constant over time are summed over time."""
        if source == 0 and self._network.source.constant:
            costs = costs.sum(0, keepdim=True)
        self._found[source] = self._found[source] + costs if source in self._found else costs

    def of(self, source: int) -> Tensor:
        """Return the coefficients on one signal, (1 or T, S, ...)."""
        if source in self._found:
            return self._found[source]
        box = self._network.source.box if source == 0 else self._network.stages[source - 1].trains.steps()
        return box.lower.new_zeros(len(box.lower), len(self._samples), *box.lower.shape[2:])

    def pull_back(self, branches: tuple[SourcedChain, ...], prices: Tensor) -> Tensor:
        """Add what prices (time, S, ...) on a sum of chains mean for its sources; return the constant, (S,)."""
        constant = prices.new_zeros(prices.shape[1])
        for branch in branches:
            pulled, part = branch.chain.pull_back(prices.flatten(0, 1))
            constant = constant + part.unflatten(0, prices.shape[:2]).sum(0)
            constant = constant + self.charge(branch, pulled.unflatten(0, prices.shape[:2]))
        return constant

    def charge(self, branch: SourcedChain, prices: Tensor) -> Tensor | float:
        """Add what prices (time, S, ...) on the start of a chain mean for its sources; return the constant."""
        if isinstance(branch.origin, int):
            self.add(branch.origin, prices)
            return 0.0
        pulled, constant = branch.origin.pulled(prices, self._samples)
        return constant + self.pull_back(branch.origin.branches, pulled)
