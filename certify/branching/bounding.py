"""Bound a batch of nodes: climb from their parents' prices, and say where each is best split."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..bounds.prices import Evaluation, PricedProblem, Specifications
from .nodes import Nodes
from .question import Question
from .splitting import choose_splits


@dataclass(frozen=True)
class Bounded:
    """Nodes with their bounds, prices and splits.

    Attributes:
        nodes: the nodes.
        splittable: whether a split is left, (N,) of bool.
        candidates: allowed inputs near where the relaxation is least, (N, ...): what may falsify.
        failing: whether the network misclassifies each candidate, (N,) of bool (in a batch: to be replayed).
    """

    nodes: Nodes
    splittable: Tensor
    candidates: Tensor
    failing: Tensor


@dataclass(frozen=True)
class Climb:
    """How to climb from the parent's prices: Adam, its step falling from `rate` to a tenth of it."""

    iterations: int = 8
    rate: float = 0.1


@torch.no_grad()
def bound_nodes(question: Question, nodes: Nodes, climb: Climb) -> Bounded:
    """Return the nodes with bounds that are at least their parents'."""
    network, empty = question.staged(nodes)
    rows = torch.arange(len(nodes), device=nodes.row.device)
    specifications = Specifications(rows, question.specifications.coefficients[nodes.row])
    problem = PricedProblem.of(network, specifications)
    prices = _gather(problem, nodes.prices)
    best, kept, evaluation = _climb(problem, prices, climb)
    bound = torch.where(empty, torch.inf, best.maximum(nodes.bound))
    inputs = question.inputs[question.samples(nodes)]
    candidates = question.perturbation.project(_arranged(question, evaluation.inputs).to(inputs.dtype), inputs)
    trace = question.network.trace(candidates)
    labels = question.labels[question.samples(nodes)]
    others = trace.logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    failing = trace.logits.gather(1, labels[:, None]).squeeze(1) <= others
    splits, splittable = choose_splits(problem, prices, evaluation, trace)
    dense = _scatter(problem, kept, nodes.prices)
    return Bounded(
        Nodes(nodes.row, bound, nodes.decisions, dense, splits), splittable, candidates, failing & ~empty
    )


def _climb(problem: PricedProblem, prices: list[Tensor], climb: Climb) -> tuple[Tensor, list[Tensor], Evaluation]:
    """Move `prices` in place; return the best bound, its prices and the last evaluation, at `prices`."""
    evaluation = problem.evaluate(prices)
    best, kept = evaluation.bound, [price.clone() for price in prices]
    first, second = ([torch.zeros_like(price) for price in prices] for _ in range(2))
    unit = _unit(problem)
    for k in range(1, climb.iterations + 1):
        rate = climb.rate * (1.0 - 0.9 * (k - 1) / climb.iterations)
        for layer, price, gradient, m, v in zip(
            problem.layers, prices, evaluation.gradients, first, second, strict=True
        ):
            m.lerp_(gradient, 0.1)
            v.lerp_(gradient.square(), 0.01)
            step = (m / (1 - 0.9**k)) / ((v / (1 - 0.99**k)).sqrt() + 1e-12)
            price.add_(step * (unit[layer.pairs[0]] * rate * layer.lasting))
        evaluation = problem.evaluate(prices)
        better = evaluation.bound > best
        best = torch.where(better, evaluation.bound, best)
        for layer, price, keep in zip(problem.layers, prices, kept, strict=True):
            torch.where(better[layer.pairs[0]], price, keep, out=keep)
    return best, kept, evaluation


def _unit(problem: PricedProblem) -> Tensor:
    """Return each specification's greatest coefficient on a single spike, (S,)."""
    pulled, _ = problem.network.tail.pull_back(problem.specifications.coefficients)
    return pulled.flatten(1).abs().amax(1) * problem.network.row.abs().max()


def _gather(problem: PricedProblem, dense: tuple[Tensor, ...]) -> list[Tensor]:
    """Return the prices of the pairs that each layer prices, (steps, P), float64."""
    return [
        price[layer.pairs[0], :, layer.pairs[1]].T.double()
        for layer, price in zip(problem.layers, dense, strict=True)
    ]


def _scatter(problem: PricedProblem, prices: list[Tensor], like: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    dense = tuple(torch.zeros_like(price) for price in like)
    for layer, price, target in zip(problem.layers, prices, dense, strict=True):
        target[layer.pairs[0], :, layer.pairs[1]] = price.T.float()
    return dense


def _arranged(question: Question, inputs: Tensor) -> Tensor:
    """Put the batch first, as the network takes its inputs."""
    return inputs.squeeze(0) if question.network.encoding == "direct" else inputs.transpose(0, 1)
