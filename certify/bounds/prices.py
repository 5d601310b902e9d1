"""F3 and F6: a lower bound of a margin by prices on the currents between layers (Lagrangian duality).

Let A_D[t] be the margin's coefficients on the last layer's spikes. For any prices μ on a layer's scaled currents
c[t] = a[t]·(W·s[t] + b),

    Σ_t A[t]·s[t] = Σ_t (A[t]·s[t] − μ[t]·c[t]) + Σ_t μ[t]·c[t]
                  ≥ min over trains and currents of the first sum + Σ_t (Wᵀ a[t]μ[t])·s_before[t] + Σ_t μ·a·b,

and the second sum is the same question for the layer before, with A[t] = a[t]·Wᵀμ[t], down to the input set,
where it is answered in closed form. The first sum splits into neurons: a shortest path on a priced graph
(price_graph.py) or the corners of a priced table (price_table.py). Any μ gives a valid bound, μ = 0 that of the
trains alone; the bound is concave in all prices, with supergradient c(best trains before) − c(first minimiser).

Rounding: the run's currents are the exact chain of the run's own spikes up to `slack`, so Σ|μ|·slack is paid;
float64's own error is covered by `_arithmetic`, n·u times the sum of all moduli.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .priced_layer import Least, PricedLayer
from .stages import Chain, Staged


@dataclass(frozen=True)
class Specifications:
    """Margins to bound: row s asks for coefficients[s]·logits of sample `samples[s]`."""

    samples: Tensor
    coefficients: Tensor

    def subset(self, rows: Tensor) -> "Specifications":
        """Return some rows only."""
        return Specifications(self.samples[rows], self.coefficients[rows])


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
        costs, bound = self.readout()
        above = bound
        total, found, asked = costs.abs().flatten(2).sum((0, 2)), [], []
        for layer, price in zip(self.layers, prices, strict=True):
            asked.append(costs)
            above = bound
            least = layer.least(costs, price)
            costs, constant = _pull_back(layer.stage.chain, layer.spread(price))
            bound = bound + least.value + constant
            total = total + least.size + costs.abs().flatten(2).sum((0, 2))
            found.append(least)
        value, inputs = self._at_input(costs)
        error = self._arithmetic(total + constant_size(bound, value))
        bound = bound + value - error
        before = [least.spikes for least in found[1:]] + [inputs]
        gradients = [
            layer.gradient(signal, least.currents, price)
            for layer, signal, least, price in zip(self.layers, before, found, prices, strict=True)
        ]
        return Evaluation(bound, tuple(gradients), inputs, tuple(asked), tuple(found), above - error)

    def readout(self) -> tuple[Tensor, Tensor]:
        """Return the coefficients on the last layer's spikes, (T, S, ...), and the constant part, (S,)."""
        tail, row = self.network.tail, self.network.row
        coefficients = self.specifications.coefficients
        pulled, constant = tail.pull_back(coefficients)
        slack = (coefficients.abs() * tail.slack).flatten(1).sum(1)
        costs = row.reshape(-1, *([1] * pulled.dim())) * pulled
        return costs, constant * row.sum() - slack * row.abs().sum()

    def _at_input(self, costs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the least Σ_t costs[t]·x[t] over the input set, and where it lies."""
        return self.network.source.least(costs, self.specifications.samples)

    def _arithmetic(self, total: Tensor) -> Tensor:
        """Return a bound of float64's own rounding error."""
        return total * self.unit_error

    @property
    def unit_error(self) -> float:
        """Return what float64 may lose of a sum of moduli of 1: (200·T² + 8·terms)·u."""
        steps = len(self.network.row)
        terms = sum(stage.lower[0, 0].numel() for stage in self.network.stages) * steps
        terms += self.network.source.box.lower[:, 0].numel() + self.network.tail.terms
        return (200 * steps**2 + 8 * terms) * torch.finfo(torch.float64).eps


def constant_size(bound: Tensor, value: Tensor) -> Tensor:
    """Return the size of what is added up last."""
    return bound.abs() + value.abs()


def _pull_back(chain: Chain, prices: Tensor) -> tuple[Tensor, Tensor]:
    """Pull prices (time, S, ...) through `chain`; return the costs before it and the constant, (S,)."""
    pulled, constant = chain.pull_back(prices.flatten(0, 1))
    return pulled.unflatten(0, prices.shape[:2]), constant.unflatten(0, prices.shape[:2]).sum(0)
