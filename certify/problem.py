"""One certification problem: a batch of samples, the set around each, and how much time there is.

Sets of one form and any size: what radii are measured in.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from ..models.circuit import Circuit, circuit
from ..models.constants import at_least, settle, unless_none, whole
from ..models.deadline import Expired, never
from ..models.linear_maps.averaging import WholeInput
from ..models.networks import SpikingNetwork
from ..models.validation import check_choice
from .branching.workers import NodeCrew
from .perturbations import L2, Ball, EventChange, LInf, Perturbation, PixelBox, SpikeFlip, SpikeShift, WholeLInf
from .perturbations.balls import settled_ball
from .perturbations.base import round_up
from .questions.classes import ClassGoal
from .questions.rows import RowGoal
from .replay import Runs, pull, replays
from .search import Limits, Told, unheard
from .ties import STRICT


@dataclass(frozen=True)
class Problem:
    """Samples to decide.

    Attributes:
        network: in evaluation mode.
        inputs, labels: (batch, ...), (batch,).
        perturbation: the threat model.
        seed: for whatever draws random numbers.
        deadline: `time.perf_counter()` at which to stop, or None.
        made: the network's circuit, where it is there already.
        ties: what a tie between logits is, "argmax" or "strict"; see `settled_ties`.
        stopped: asked whether to stop, as the deadline is.
        memory: bytes that a search may take, or None.
        crew: who bounds the nodes of a search; None: this process.
        told: told how a search stands.
        rows: of a property that is asked in place of the class; `labels` then say which of its questions is each
            sample's.
    """

    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor
    perturbation: Perturbation
    seed: int = 0
    deadline: float | None = None
    made: Circuit | None = field(default=None, repr=False)
    ties: str = STRICT
    stopped: Expired = never
    memory: int | None = None
    crew: NodeCrew | None = None
    told: Told = unheard
    rows: RowGoal | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        settle(self, whole, "seed")
        settle(self, unless_none(at_least(1)), "memory")

    @cached_property
    def circuit(self) -> Circuit:
        """Return the network's circuit."""
        return circuit(self.network) if self.made is None else self.made

    @cached_property
    def goal(self) -> ClassGoal | RowGoal:
        """Return what must be proven."""
        return ClassGoal.of(self.circuit, self.ties) if self.rows is None else self.rows

    def subset(self, indices: Tensor) -> "Problem":
        """Return the problem of some samples only."""
        return replace(self, inputs=self.inputs[indices], labels=self.labels[indices])

    def each(self) -> "list[Problem]":
        """Return the problems of one sample each."""
        return [self.subset(index) for index in torch.arange(len(self.labels), device=self.labels.device)[:, None]]

    @property
    def limits(self) -> Limits:
        """Return when a search ends, and who is told how it stands."""
        return Limits(self.deadline, self.stopped, self.memory, self.told)

    def expired(self) -> bool:
        """Return whether the time is up."""
        return self.limits.expired()

    def generator(self) -> torch.Generator:
        """Return a fresh generator with this problem's seed."""
        return torch.Generator().manual_seed(self.seed)


BALLS: dict[str, type[Ball]] = {"linf": LInf, "l2": L2}
NORMS = (*BALLS, "l0", "shift")
BUDGETS = ("total", "count", "jitter")
STEP = 1.0
"""Between two budgets of events."""


class Scale(ABC):
    """Sets that grow with one number, ε."""

    @abstractmethod
    def around(self, epsilon: float) -> Perturbation:
        """Return the set of size ε."""

    @abstractmethod
    def reach(self, inputs: Tensor) -> float:
        """Return an ε, in float32, from which on no set around any sample grows."""

    def tolerance(self, wanted: float) -> float:
        """Return the width at which a bracket counts as exact, as near to what is wanted as there is."""
        return wanted

    @abstractmethod
    def distance(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return, per sample, an ε whose set holds the candidate, (batch,)."""

    def pulled(self, network: Runs, counterexamples: Tensor, inputs: Tensor, labels: Tensor, ties: str) -> Tensor:
        """Return counterexamples at most as far away, which fail as well: by bisection along the segments."""
        return pull(network, counterexamples, inputs, labels, ties)

    @property
    def breaks_first(self) -> bool:
        """Return whether counterexamples are sought before proofs: where proofs of great sets cost most."""
        return False


@dataclass(frozen=True)
class BallScale(Scale):
    """Balls of one norm within [lower, upper]."""

    norm: str
    lower: float
    upper: float

    def around(self, epsilon: float) -> Ball:
        """Return the ball of radius ε."""
        return BALLS[self.norm](epsilon, self.lower, self.upper)

    def reach(self, inputs: Tensor) -> float:
        """Return the distance of two corners of the range.

        Raises:
            ValueError: for a range without an end, or of a single value.
        """
        ball = self.around(0.0)
        if not (ball.lower < ball.upper and math.isfinite(ball.upper - ball.lower)):
            raise ValueError(
                f"lower, upper: got {ball.lower!r}, {ball.upper!r}, expected lower < upper, both finite"
            )
        corner = torch.full_like(inputs[:1], ball.lower, dtype=torch.float64)
        return float(round_up(ball.distance(torch.full_like(corner, ball.upper), corner), torch.float32))

    def distance(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return the distance, rounded up."""
        return self.around(0.0).distance(candidates, inputs)


@dataclass(frozen=True, eq=False)
class BoxScale(Scale):
    """Boxes in which each feature moves by ε times its own size, a product in float64, within its own ends.

    Args:
        size: ≥ 0, of each feature, one number on the last axis for each of its entries; 0: it does not move.
        lower, upper: ends of each feature.
    """

    size: Tensor
    lower: Tensor
    upper: Tensor

    def around(self, epsilon: float) -> PixelBox:
        """Return the box of ε times the sizes."""
        return PixelBox(epsilon * self.size, self.lower, self.upper)

    def reach(self, inputs: Tensor) -> float:
        """Return an ε from which on each feature that moves may take all of its range.

        Raises:
            ValueError: where no feature moves.
        """
        moving = self.size > 0
        if not bool(moving.any()):
            raise ValueError("size: got 0 of each feature, expected one that moves")
        return float(round_up((2 * (self.upper - self.lower)[moving] / self.size[moving]).max(), torch.float32))

    def distance(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return the least ε whose box holds the candidate, (batch,), as `contains` decides."""
        return torch.stack([self._least(*pair) for pair in zip(candidates, inputs, strict=True)])

    def _least(self, candidate: Tensor, sample: Tensor) -> Tensor:
        """Return an ε that holds, beside which no smaller double but one rounding off does."""
        moved = (candidate.double() - sample.double()).abs() / self.size
        guess = float(moved.nan_to_num(0.0).max())  # a feature of size 0 that stays: 0/0
        step = 0.0
        while guess < math.inf and not bool(self.around(guess + step).contains(candidate[None], sample[None])):
            step = max(2 * step, 2.0**-52 * guess, 2.0**-1000)
        return torch.tensor(guess + step, dtype=torch.float64)


class EventScale(Scale):
    """Budgets of changed events: whole numbers."""

    @property
    def breaks_first(self) -> bool:
        """Return True."""
        return True

    def tolerance(self, wanted: float) -> float:
        """Return at least 1: between two budgets is none."""
        return max(STEP, wanted)

    def _most(self, inputs: Tensor) -> int:
        """Return a budget that no sample can spend."""
        return inputs[0].numel()

    def reach(self, inputs: Tensor) -> float:
        """Return a power of two, so that all points of a grid on it are whole numbers."""
        return float(2 ** max(1, self._most(inputs).bit_length()))

    def pulled(self, network: Runs, counterexamples: Tensor, inputs: Tensor, labels: Tensor, ties: str) -> Tensor:
        """Take changes back, ever fewer at once, where what is left still fails alone."""
        triples = zip(counterexamples, inputs, labels.tolist(), strict=True)
        return torch.stack([self._taken_back(network, *triple, ties) for triple in triples])

    def _taken_back(self, network: Runs, candidate: Tensor, sample: Tensor, label: int, ties: str) -> Tensor:
        changed = self._units(candidate != sample)
        size = len(changed)
        while size:
            for part in changed.split(size):
                mask = torch.zeros_like(self._marks(sample), dtype=torch.bool)
                mask.view(-1)[part] = True
                fewer = torch.where(mask.expand_as(sample), sample, candidate)
                if not fewer.equal(candidate) and replays(network, fewer, label, ties):
                    candidate = fewer
            size //= 2
        return candidate

    def _marks(self, sample: Tensor) -> Tensor:
        """Return a tensor with an entry for each part that can be taken back by itself, broadcastable."""
        return sample[:1]

    def _units(self, differ: Tensor) -> Tensor:
        """Return which parts differ, (n,)."""
        return differ.flatten().nonzero().flatten()


@dataclass(frozen=True)
class FlipScale(EventScale):
    """Budgets of flipped events.

    Args:
        template: their kind, and which they are; its count plays no part.
    """

    template: SpikeFlip = field(default_factory=lambda: SpikeFlip(0))

    def around(self, epsilon: float) -> SpikeFlip:
        """Return the set of ε flips."""
        return replace(self.template, count=int(epsilon))

    def distance(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return how many entries differ."""
        return (candidates != inputs).flatten(1).sum(1).double()

    def _marks(self, sample: Tensor) -> Tensor:
        return sample


@dataclass(frozen=True)
class ShiftScale(EventScale):
    """One budget of events that move: by how many steps in all, how many of them, or how far each.

    Args:
        budget: what ε is: "total", "count" or "jitter".
        template: the other limits, and how events move; its own `budget` must be None.

    Raises:
        ValueError: for another budget, or a template that limits it.
    """

    budget: str = "total"
    template: SpikeShift = field(default_factory=lambda: SpikeShift(None))

    def __post_init__(self) -> None:
        check_choice("budget", self.budget, BUDGETS)
        if (limit := getattr(self.template, self.budget)) is not None:
            raise ValueError(f"{self.budget}: got {limit}, expected None: it is what ε is")

    def around(self, epsilon: float) -> SpikeShift:
        """Return the set of moves within ε."""
        return replace(self.template, **{self.budget: int(epsilon)})

    def reach(self, inputs: Tensor) -> float:
        """Return an ε that no sample can spend.

        Raises:
            ValueError: for a jitter, which is below the number of steps: no bracket has such an end.
        """
        if self.budget == "jitter":
            told = "got 'jitter', which has few values: ask for verdicts at each"
            raise ValueError(f"budget: {told}; radii are of 'total' or 'count'")
        return super().reach(inputs)

    def _most(self, inputs: Tensor) -> int:
        events = max(inputs[0].numel(), math.ceil(float(inputs.flatten(1).sum(1).max())))
        return events * (inputs.shape[1] if self.budget == "total" else 1)

    def distance(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return the least budget that pays for the moves."""
        costs = [self.template.least(*pair) for pair in zip(candidates, inputs, strict=True)]
        return torch.tensor([cost[self.budget == "total"] for cost in costs], dtype=torch.float64)

    def _units(self, differ: Tensor) -> Tensor:
        return super()._units(differ.any(0))


@dataclass(frozen=True)
class ChangeScale(EventScale):
    """Budgets of flipped events beside moves that stay as they are: sets to ask verdicts of, one by one.

    There are no radii: the set of no flips is not the sample alone.

    Args:
        template: the moves, and the kind of flips; the count of flips plays no part.
    """

    template: EventChange

    def around(self, epsilon: float) -> EventChange:
        """Return the set of ε flips and all moves."""
        return replace(self.template, flips=replace(self.template.flips, count=int(epsilon)))

    def reach(self, inputs: Tensor) -> float:
        """Raise ValueError: no bracket begins at moves."""
        raise ValueError("norm: got flips beside moves, which have no radius: ask for verdicts at each number")

    def distance(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return the fewest flips beside the moves."""
        return self.template.least_flips(candidates, inputs)

    def _units(self, differ: Tensor) -> Tensor:
        return super()._units(differ.any(0))


@dataclass(frozen=True)
class WholeScale(Scale):
    """Whole vectors within whole radii, for networks that take whole numbers from `lower` to `upper`."""

    lower: float
    upper: float

    def around(self, epsilon: float) -> WholeLInf:
        """Return the whole vectors within ⌊ε⌋."""
        return WholeLInf(epsilon, self.lower, self.upper)

    def reach(self, inputs: Tensor) -> float:
        """Return a power of two, so that all points of a grid on it are whole numbers."""
        return float(2 ** max(1, int(self.upper - self.lower).bit_length()))

    def tolerance(self, wanted: float) -> float:
        """Return at least 1: between two radii is none."""
        return max(STEP, wanted)

    def distance(self, candidates: Tensor, inputs: Tensor) -> Tensor:
        """Return the distance, which is exact."""
        return (candidates - inputs).abs().flatten(1).amax(1)

    def pulled(self, network: Runs, counterexamples: Tensor, inputs: Tensor, labels: Tensor, ties: str) -> Tensor:
        """Return them as they are: each is as far away as its set was great, at most."""
        return counterexamples


def whole_scale(sets: Scale, layer: WholeInput) -> Scale:
    """Return what is meant by sets around inputs of a network of whole numbers.

    Raises:
        ValueError: for sets whose members are not whole.
    """
    if isinstance(sets, EventScale | WholeScale):
        return sets
    if not (isinstance(sets, BallScale) and sets.norm == "linf"):
        raise ValueError('norm: got sets of real inputs, expected "linf" or events for a network of whole numbers')
    settled = settled_ball(LInf(0.0, sets.lower, sets.upper), layer)
    return WholeScale(settled.lower, settled.upper)


def scale(norm: str, lower: float, upper: float) -> Scale:
    """Return the sets of a norm, "linf", "l2", "l0" (flipped events) or "shift" (events moved in time)."""
    if norm in BALLS:
        return BallScale(norm, lower, upper)
    return FlipScale() if norm == "l0" else ShiftScale()
