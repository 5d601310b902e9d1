"""What every verifier shares: the clean replay, the margins turned into verdicts, chunks of samples."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Circuit
from ...models.deadline import LATE, Expired, TimeIsUp, ending, never, time_left
from ...models.networks import SpikingNetwork
from ...models.source import OWN
from ..bounds.propagation import LogitBounds, logit_bounds
from ..bounds.signals.windows import Box
from ..bounds.trains.trains import step_spikes
from ..perturbations import Perturbation
from ..problem import Problem
from ..search import Pace
from ..verdicts import INTERRUPTED, Unfinished, Verdict, keeping, left_open, source_keeps

WITHIN = "a counterexample of the network is within the rounding of its source, which may take it otherwise"
"""Why a sample is open whose counterexample the source's own run need not have."""
MISCLASSIFIED = "misclassified unperturbed"


class Verifier(ABC):
    """Decides samples. A concrete verifier must be sound: 'verified' only with a proof, whatever happens."""

    name: str
    asks_rows: ClassVar[bool] = False
    """Whether it answers properties: problems whose goal is made of rows."""

    @abstractmethod
    def decide(self, problem: Problem) -> list[Verdict]:
        """Return one verdict per sample, in order."""


def decided(verifier: Verifier, problem: Problem) -> tuple[Sequence[Verdict], bool]:
    """Return a verifier's verdicts and whether Ctrl-C cut it short, in which case those that it has by then.

    A verifier that goes on behind the problem's deadline is ended, and its samples are unknown.
    """
    try:
        with ending(problem.deadline):
            return verifier.decide(problem), False
    except TimeIsUp as error:
        late = Verdict("unknown", None, None, verifier.name, 0.0, str(error), problem.ties)
        return [late] * len(problem.labels), False
    except Unfinished as error:
        return error.verdicts, True
    except KeyboardInterrupt:
        return [left_open(verifier.name, problem.ties)] * len(problem.labels), True


def one_by_one(problem: Problem, name: str, decide: Callable[[Problem], Verdict]) -> list[Verdict]:
    """Return each sample's verdict by itself; the samples that are left share the time that is left.

    Raises:
        Unfinished: on Ctrl-C, with these.
    """
    verdicts, count = list[Verdict](), len(problem.labels)
    with keeping(verdicts, count, name, problem.ties):
        for index, one in enumerate(problem.each()):
            verdicts.append(decide(replace(one, deadline=time_left(problem.deadline, count - index))))
    return verdicts


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

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return "verified" where the margin's bound suffices, "unknown" elsewhere.

        Raises:
            Unfinished: on Ctrl-C behind a first bound, with these.
        """
        started = time.perf_counter()
        try:
            lower, proven = self._decided(problem)
        except (OverflowError, TimeIsUp) as error:
            return [Verdict("unknown", None, None, self.name, 0.0, str(error)) for _ in problem.labels]
        except BoundsCut as stopped:
            raise stopped.told(problem, self.name) from None
        seconds, late = (time.perf_counter() - started) / len(problem.labels), LATE if problem.expired() else ""
        pairs = zip(lower.tolist(), proven.tolist(), strict=True)
        return [margin_verdict(margin, enough, self.name, seconds, problem.ties, late) for margin, enough in pairs]

    def _decided(self, problem: Problem) -> tuple[Tensor, Tensor]:
        """Return each sample's least margin, and whether it is verified, (batch,) each.

        All that is known here is the least margin, over classes on either side of the label: it must be positive.
        """
        lower = self.margins(
            problem.network, problem.inputs, problem.labels, problem.perturbation, problem.expired
        )
        return lower, lower > 0


class BoundsCut(KeyboardInterrupt):
    """Ctrl-C came behind the first bound of a problem's margins: those of its columns that are proven by then."""

    def __init__(self, lower: Tensor) -> None:
        super().__init__()
        self.lower = lower

    def told(self, problem: Problem, name: str) -> Unfinished:
        """Return what says it of the samples of a problem, whose own bounds these must be."""
        margins, proven = _settled(problem, self.lower)
        pairs = zip(margins.tolist(), proven.tolist(), strict=True)
        return Unfinished([margin_verdict(*pair, name, 0.0, problem.ties, INTERRUPTED) for pair in pairs])


Phase = Callable[[Problem, Tensor], Tensor]
"""Bounds logit_y − logit_k of some samples, (n, classes), +inf at k = y, from what is known of them."""


class ClassMarginVerifier(MarginVerifier):
    """A `MarginVerifier` that bounds the margin to each class by itself, so that ties may fall to the label."""

    @abstractmethod
    def phases(self, made: Circuit) -> Sequence[Phase]:
        """Return what bounds margins, cheapest first: a later one sees what the ones before left open."""

    @torch.no_grad()
    def lower(self, problem: Problem) -> Tensor:
        """Return a lower bound of logit_y − logit_k for each class k, (batch, classes), float64; +inf at k = y.

        It has been `tightened` by the problem's goal. Without a deadline each phase takes all its samples at once,
        else as many as should be through in time; of those that have no turn it is −inf.

        Raises:
            TimeIsUp: where nothing was found of any sample.
            BoundsCut: on Ctrl-C where something was.
        """
        problem = replace(problem, made=problem.circuit)
        labels, goal = problem.labels, problem.goal
        lower = torch.full((len(labels), 1), -torch.inf, dtype=torch.float64, device=labels.device)
        begun = False
        for index, phase in enumerate(self.phases(problem.circuit)):
            left = (~goal.holds(goal.proven(lower, labels))).nonzero().flatten()
            if len(left) == 0 or (index and problem.expired()):
                break
            for rows in _paced(left, problem):
                try:
                    found = goal.tightened(phase(problem.subset(rows), lower[rows]))
                except (TimeIsUp, KeyboardInterrupt) as stopped:
                    if not begun:
                        raise
                    if isinstance(stopped, TimeIsUp):
                        return lower
                    raise BoundsCut(lower) from None
                if not begun:
                    lower, begun = goal.columns(lower, labels, found.shape[1]), True
                lower[rows] = lower[rows].maximum(found)
        return lower

    def class_margins(
        self,
        network: SpikingNetwork,
        inputs: Tensor,
        labels: Tensor,
        perturbation: Perturbation,
        expired: Expired = never,
    ) -> Tensor:
        """Return a lower bound of logit_y − logit_k for each class k, (batch, classes); +inf at k = y."""
        return self.lower(Problem(network, inputs, labels, perturbation, stopped=expired))

    def margins(
        self,
        network: SpikingNetwork,
        inputs: Tensor,
        labels: Tensor,
        perturbation: Perturbation,
        expired: Expired = never,
    ) -> Tensor:
        """Return a lower bound of each sample's margin over the set, (batch,), float64."""
        return self.class_margins(network, inputs, labels, perturbation, expired).amin(1)

    def _decided(self, problem: Problem) -> tuple[Tensor, Tensor]:
        return _settled(problem, self.lower(problem))


def _settled(problem: Problem, lower: Tensor) -> tuple[Tensor, Tensor]:
    """Return each sample's least margin, and whether it is verified, by its columns' bounds."""
    return problem.goal.least(lower), problem.goal.holds(problem.goal.proven(lower, problem.labels))


def _paced(left: Tensor, problem: Problem) -> Iterator[Tensor]:
    """Yield which of the samples `left` to bound at once, until the time is up; the first ones in any case."""
    pace, begun = Pace(problem.deadline, first=1, least=1), False
    while len(left) and not (begun and problem.expired()):
        size, started = pace.fits(len(left)), time.perf_counter()
        yield left[:size]
        pace.note(size, time.perf_counter() - started)
        left, begun = left[size:], True


def margin_verdict(margin: float, proven: bool, verifier: str, seconds: float, ties: str, late: str) -> Verdict:
    """Return "verified" for a margin whose bound suffices, "unknown" for another."""
    if proven:
        reason = "the margin's lower bound is positive"
        if margin <= 0:
            reason = "the margin's lower bound is 0, and a tie falls to the label"
        return Verdict("verified", margin, None, verifier, seconds, reason, ties)
    if margin == -math.inf and late:
        return Verdict("unknown", None, None, verifier, seconds, f"{late} before a bound was there", ties)
    reason = f"{late}, and " * bool(late) + f"the margin's lower bound {margin:.3g} does not suffice"
    return Verdict("unknown", margin, None, verifier, seconds, reason, ties)


@torch.no_grad()
def clean_failures(problem: Problem, verifier: str, clean: Tensor | None = None) -> dict[int, Verdict]:
    """Return the verdict of each sample that is misclassified as it is: its own counterexample.

    A sample whose own margin is NaN, after an overflow, is unknown, whatever a bound would say.

    Args:
        problem: the samples.
        verifier: a name.
        clean: the samples' own logits, (batch, classes), where a run of this batch has told them.
    """
    started = time.perf_counter()
    logits: Tensor = problem.network(problem.inputs) if clean is None else clean
    found = problem.goal.values(logits, problem.labels, problem.inputs)
    overflow = Verdict(
        "unknown", None, None, verifier, 0.0, "the sample's own logits have no difference: inf or NaN"
    )
    known = dict.fromkeys(found.isnan().nonzero().flatten().tolist(), overflow)
    failed = (found <= 0).nonzero().flatten().tolist()
    if not failed:
        return known
    tied = problem.goal.least(problem.goal.gaps(logits, problem.labels, problem.inputs)) == 0
    for index in failed:
        reason = "tied with another class unperturbed" if bool(tied[index]) else MISCLASSIFIED
        known[index] = falsified(problem, index, problem.inputs[index], verifier, started, reason)
    return known


def _overflowing(made: Circuit, candidate: Tensor) -> str:
    """Return why a chip may run an input otherwise than a network of whole numbers does, or nothing."""
    if not made.whole:
        return ""
    try:
        logit_bounds(made, Box(candidate[None].double(), candidate[None].double()), step_spikes)
    except OverflowError as error:
        return str(error)
    return ""


def objection(problem: Problem, index: int, candidate: Tensor) -> str:
    """Return why a counterexample may be none of the source; nothing where it is one, too.

    The source itself decides where it is at hand; else what it may round.
    """
    label, point = int(problem.labels[index]), candidate[None].double()
    fails = partial(problem.goal.replays, candidate=candidate, label=label)
    told = source_keeps(problem.network, candidate, fails, problem.rows is not None)
    if told is not None or problem.circuit.allowance is OWN:
        return told or ""
    try:
        return "" if problem.goal.stands(problem.circuit, Box(point, point), label) else WITHIN
    except OverflowError:
        return WITHIN


def falsified(
    problem: Problem, index: int, candidate: Tensor, verifier: str, started: float, reason: str
) -> Verdict:
    """Return "falsified" if `candidate` is allowed and replays, "unknown" if it does not."""
    seconds = time.perf_counter() - started
    inputs = problem.inputs[index : index + 1]
    allowed = bool(problem.perturbation.contains(candidate[None], inputs))
    if allowed and (obstacle := _overflowing(problem.circuit, candidate)):
        return Verdict("unknown", None, None, verifier, seconds, obstacle)
    if allowed and problem.goal.replays(problem.network, candidate, int(problem.labels[index])):
        if told := objection(problem, index, candidate):
            return Verdict("unknown", None, None, verifier, seconds, told)
        return Verdict("falsified", None, candidate.clone(), verifier, seconds, reason)
    return Verdict(
        "unknown", None, None, verifier, seconds, "a candidate counterexample did not replay alone and in a batch"
    )
