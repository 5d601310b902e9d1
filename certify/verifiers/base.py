"""What every verifier shares: the clean replay, the margins turned into verdicts, chunks of samples."""

import time
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ...models.networks import SpikingNetwork
from ..bounds.propagation import LogitBounds
from ..deadline import Expired, never
from ..perturbations import Perturbation
from ..problem import Problem
from ..replay import margins, replays
from ..verdicts import Verdict


class Verifier(ABC):
    """Decides samples. A concrete verifier must be sound: 'verified' only with a proof, whatever happens."""

    name: str

    @abstractmethod
    def decide(self, problem: Problem) -> list[Verdict]:
        """Return one verdict per sample, in order."""


class MarginVerifier(Verifier):
    """Verifies a sample iff a lower bound of its margin is positive; never falsifies by itself.

    A concrete one must return margins that hold for every input of the set and for the run in its own dtype.
    """

    @abstractmethod
    def margins(
        self,
        network: SpikingNetwork,
        inputs: Tensor,
        labels: Tensor,
        perturbation: Perturbation,
        expired: Expired = never,
    ) -> Tensor:
        """Return a lower bound of each sample's margin over the set, (batch,), float64.

        Where `expired` says that the time is up it returns the best that is proven so far.
        """

    @abstractmethod
    def logits(self, network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> LogitBounds:
        """Return bounds of each logit over the set."""

    def lower(self, problem: Problem) -> Tensor:
        """Return `margins` of a problem, whose circuit is there already."""
        return self.margins(problem.network, problem.inputs, problem.labels, problem.perturbation, problem.expired)

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return "verified" where the margin's bound is positive, "unknown" elsewhere."""
        started = time.perf_counter()
        try:
            lower = self.lower(problem)
        except OverflowError as error:
            return [Verdict("unknown", None, None, self.name, 0.0, str(error)) for _ in problem.labels]
        seconds = (time.perf_counter() - started) / len(problem.labels)
        return [self._verdict(margin, seconds) for margin in lower.tolist()]

    def _verdict(self, margin: float, seconds: float) -> Verdict:
        if margin > 0:
            return Verdict("verified", margin, None, self.name, seconds, "the margin's lower bound is positive")
        reason = f"the margin's lower bound {margin:.3g} is not positive"
        return Verdict("unknown", margin, None, self.name, seconds, reason)


def clean_failures(problem: Problem, verifier: str) -> dict[int, Verdict]:
    """Return the verdict of each sample that is misclassified as it is: its own counterexample.

    A sample whose own margin is NaN, after an overflow, is unknown, whatever a bound would say.
    """
    started = time.perf_counter()
    with torch.no_grad():
        found = margins(problem.network(problem.inputs), problem.labels)
    overflow = Verdict(
        "unknown", None, None, verifier, 0.0, "the sample's own logits have no difference: inf or NaN"
    )
    known = dict.fromkeys(found.isnan().nonzero().flatten().tolist(), overflow)
    for index in (found <= 0).nonzero().flatten().tolist():
        sample = problem.inputs[index]
        known[index] = falsified(problem, index, sample, verifier, started, "misclassified unperturbed")
    return known


def falsified(
    problem: Problem, index: int, candidate: Tensor, verifier: str, started: float, reason: str
) -> Verdict:
    """Return "falsified" if `candidate` is allowed and fails when run alone, "unknown" if it does not."""
    seconds = time.perf_counter() - started
    inputs = problem.inputs[index : index + 1]
    allowed = bool(problem.perturbation.contains(candidate[None], inputs))
    if allowed and replays(problem.network, candidate, int(problem.labels[index])):
        return Verdict("falsified", None, candidate.clone(), verifier, seconds, reason)
    return Verdict("unknown", None, None, verifier, seconds, "a candidate counterexample did not replay alone")
