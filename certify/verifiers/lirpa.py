"""auto_LiRPA's linear relaxations (Xu et al., 2020) of the unrolled network, with spike operations of our own."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.circuit import Circuit, UnknownNode, circuit
from ...models.constants import at_least, settle
from ...models.networks import SpikingNetwork
from ...models.validation import check_choice
from ...processes.memory import free_memory
from ..bounds.propagation import LogitBounds
from ..lirpa.relaxation import LibraryError
from ..perturbations import Perturbation
from ..problem import Problem
from ..verdicts import Verdict
from .base import ClassMarginVerifier, Phase

BEST = ("crown-ibp", "crown")
METHODS = ("best", *BEST, "alpha-crown")
MOST_COEFFICIENTS = 2**20
"""Samples are bounded together while (largest layer)² × samples stays below this: 8 MiB a matrix."""


@dataclass(frozen=True)
class Lirpa(ClassMarginVerifier):
    """Bounds margins by auto_LiRPA; never falsifies. Of networks that can't be unrolled all is unknown, with why.

    Args:
        method: "crown-ibp", "crown", "alpha-crown", or "best": the better of the first two, neither of which is
            always tighter.
        iterations: of "alpha-crown", steps of Adam.

    Raises:
        ValueError: for another method.

    >>> Lirpa(method="crown").name
    'lirpa (crown)'

    References: xu2020automatic
    """

    method: str = "best"
    iterations: int = 20

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        settle(self, at_least(1), "iterations")

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return "lirpa" for the default method, "lirpa (method)" for another."""
        return "lirpa" if self.method == "best" else f"lirpa ({self.method})"

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return "verified" where the margin's bound is positive, "unknown" elsewhere."""
        try:
            return super().decide(problem)
        except (UnknownNode, LibraryError) as error:
            return [Verdict("unknown", None, None, self.name, 0.0, str(error)) for _ in problem.labels]

    def phases(self, made: Circuit) -> tuple[Phase, ...]:
        """Return auto_LiRPA's bounds."""
        return (self._bounded,)

    def _bounded(self, problem: Problem, known: Tensor) -> Tensor:
        labels = problem.labels
        lower = self._least(
            problem.network, problem.inputs, problem.perturbation, lambda one: one[labels].unsqueeze(1) - one
        )
        return lower.scatter(1, labels[:, None], torch.inf)

    def logits(self, network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> LogitBounds:
        """Return bounds of each logit over the set."""
        lower = self._least(network, inputs, perturbation, lambda one: one.expand(len(inputs), -1, -1))
        upper = -self._least(network, inputs, perturbation, lambda one: -one.expand(len(inputs), -1, -1))
        return LogitBounds(lower, upper)

    @torch.no_grad()
    def _least(
        self,
        network: SpikingNetwork,
        inputs: Tensor,
        perturbation: Perturbation,
        matrix: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Return lower bounds of A·logits, (batch, rows), for A, (batch, rows, classes), made of a unit matrix."""
        from ..lirpa.graph import BoundedCircuit  # imports auto_LiRPA

        made, trace = circuit(network), network.trace(inputs[:1])
        rows = matrix(torch.eye(trace.logits.shape[1], dtype=torch.float64, device=inputs.device))
        largest = max((current[0].numel() for current in trace.currents), default=1)
        _check_room(largest, network.num_steps, inputs.device)
        size, found = max(1, MOST_COEFFICIENTS // largest**2), []
        for some, chosen in zip(inputs.split(size), rows.split(size), strict=True):
            bounded = BoundedCircuit(made, perturbation.enclosure(some), self.iterations)
            methods = BEST if self.method == "best" else (self.method,)
            found.append(torch.stack([bounded.least(chosen, method) for method in methods]).amax(0))
        return torch.cat(found)


def _check_room(largest: int, num_steps: int, device: torch.device) -> None:
    """Raise where one sample takes more than what is free: T matrices of N² numbers of 8 bytes, about."""
    wanted = 8 * num_steps * largest**2
    free = free_memory() if device.type == "cpu" else torch.cuda.mem_get_info(device)[0]
    if free is not None and wanted > free:
        raise LibraryError(
            f"network: auto_LiRPA would take about {wanted / 2**30:.1f} GiB for a sample, 8·T·N² bytes of N = "
            f"{largest} neurons of a layer and T = {num_steps}, expected at most the {free / 2**30:.1f} GiB "
            "that are free"
        )
