"""auto_LiRPA's linear relaxations (Xu et al., 2020) of the unrolled network, with spike operations of our own."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...models.circuit import Circuit, circuit
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice
from ..bounds.propagation import LogitBounds
from ..bounds.signals.box import Box
from ..lirpa.running import NAMES, BoundedNetwork, Optimisation, bounded_network
from ..lirpa.unrolled import UnrollError
from ..perturbations import Perturbation
from ..problem import Problem
from ..verdicts import Verdict
from .base import ClassMarginVerifier, Phase

BEST = ("crown-ibp", "crown")
METHODS = ("best", *NAMES)
MOST_COEFFICIENTS = 2**20
"""Samples are bounded together while (largest layer)² × samples stays below this: 8 MiB a matrix."""


@dataclass(frozen=True)
class Lirpa(ClassMarginVerifier):
    """Bounds margins by auto_LiRPA; never falsifies.

    Args:
        method: "ibp", "crown-ibp", "crown", "alpha-crown", or "best": the better of CROWN-IBP and CROWN, neither
            of which is always tighter.
        optimisation: the search of "alpha-crown".

    Raises:
        ValueError: for another method.

    >>> Lirpa(method="crown").name
    'lirpa (crown)'

    References: xu2020automatic
    """

    method: str = "best"
    optimisation: Optimisation = field(default_factory=Optimisation)

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return "lirpa" for the default method, "lirpa (method)" for another."""
        return "lirpa" if self.method == "best" else f"lirpa ({self.method})"

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return "verified" where the margin's bound is positive, "unknown" elsewhere.

        "unknown" also stands for samples that the time did not suffice for, and for networks that can't be
        unrolled (the reason says why).
        """
        verdicts: list[Verdict] = []
        for part in _parts(problem):
            if problem.expired():
                reason = "the time was up before the bound was computed"
                verdicts += [Verdict("unknown", None, None, self.name, 0.0, reason) for _ in part.labels]
            else:
                verdicts += self._attempt(part)
        return verdicts

    def _attempt(self, problem: Problem) -> list[Verdict]:
        started = time.perf_counter()
        try:
            return super().decide(problem)
        except UnrollError as error:
            seconds = (time.perf_counter() - started) / len(problem.labels)
            return [Verdict("unknown", None, None, self.name, seconds, str(error)) for _ in problem.labels]

    def phases(self, made: Circuit) -> tuple[Phase, ...]:
        """Return auto_LiRPA's bounds; `decide` keeps samples apart that take much memory."""
        return (self._bounded,)

    @torch.enable_grad()
    def _bounded(self, problem: Problem, known: Tensor) -> Tensor:
        box, parts = problem.perturbation.enclosure(problem.inputs), []
        for chunk in _chunks(problem.network, problem.inputs):
            bounded = bounded_network(problem.circuit, _part(box, chunk), self.optimisation)
            parts.append(self._margins(bounded, problem.labels[chunk]))
        return torch.cat(parts)

    def logits(self, network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> LogitBounds:
        """Return bounds of each logit over the set."""
        box = perturbation.enclosure(inputs)
        lower, upper = [], []
        for chunk in _chunks(network, inputs):
            bounded = bounded_network(circuit(network), _part(box, chunk), self.optimisation)
            rows = _identity(bounded).expand(len(inputs[chunk]), -1, -1)
            lower.append(self._least(bounded, rows))
            upper.append(-self._least(bounded, -rows))
        return LogitBounds(torch.cat(lower), torch.cat(upper))

    def _margins(self, bounded: BoundedNetwork, labels: Tensor) -> Tensor:
        identity = _identity(bounded)
        lower = self._least(bounded, identity[labels].unsqueeze(1) - identity)
        return lower.scatter(1, labels[:, None], torch.inf)

    def _least(self, bounded: BoundedNetwork, matrix: Tensor) -> Tensor:
        """Return the greatest lower bound of matrix·logits over the methods."""
        methods = BEST if self.method == "best" else (self.method,)
        return torch.stack([bounded.least(matrix, method) for method in methods]).amax(0)


def _identity(bounded: BoundedNetwork) -> Tensor:
    logits = bounded.slacks.logits
    return torch.eye(logits.shape[1], dtype=torch.float64, device=logits.device)


def _parts(problem: Problem) -> Iterator[Problem]:
    for chunk in _chunks(problem.network, problem.inputs):
        yield problem.subset(torch.arange(len(problem.labels), device=problem.labels.device)[chunk])


@torch.no_grad()
def _chunks(network: SpikingNetwork, inputs: Tensor) -> Iterator[slice]:
    """Cut the batch so that coefficient matrices stay small."""
    trace = network.trace(inputs[:1])
    largest = max((current[0].numel() for current in trace.currents), default=1)
    size = max(1, MOST_COEFFICIENTS // largest**2)
    for start in range(0, len(inputs), size):
        yield slice(start, start + size)


def _part(box: Box, chunk: slice) -> Box:
    center = None if box.center is None else box.center[chunk]
    budget = None if box.budget is None else box.budget.moved(lambda marks: marks[chunk])
    return Box(box.lower[chunk], box.upper[chunk], center, box.ball, budget)
