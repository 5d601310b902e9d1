"""Verifiers that run every input of a small set (F11), or split boxes of inputs.

Run every input of a small set (F11): exact for every network, whatever its layers, resets and readout.

Decide questions by splitting boxes of inputs: for sets that move few inputs.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import (
    Added,
    Algebra,
    Chosen,
    Circuit,
    Filtered,
    Fired,
    Input,
    Mapped,
    Pooled,
    Read,
    Recurred,
    check_known,
    fold,
)
from ...models.constants import at_least, settle
from ...models.deadline import LATE, TimeIsUp, ending
from ...models.rules import LEAKY, RESTS, START, VARIED, WHOLE
from ..bounds.propagation import Propagation, input_signal
from ..bounds.signals.windows import Box
from ..bounds.trains.trains import step_spikes
from ..listing import Walk, walked
from ..perturbations import Perturbation, SpikeFlip
from ..perturbations.base import Members
from ..problem import Problem
from ..rounding import Rounding
from ..splitting.boxes import BoxSearch, BoxTarget, moving, point_bounds
from ..verdicts import Verdict
from .base import Verifier, falsified, one_by_one
from .trains import TRAINS
from .trains import exactly as exact_layers

PATIENCE = 2**35
"""Work that a sample's members may take together, in `work_each`: 4 to 14 s of one core. It is 34,000 members of a
2312-64-10 network with T = 6 (one flip), 85,000 of a 40-64-64-10 one with T = 10, 1,000,000 of a 4-5-3 one with
T = 25."""

NEURON = 256
"""A neuron's share of that, in products: its trains are bounded step by step."""

STEP, MEMBER = 12, 2**12
"""A neuron's step in products where members are walked, and what making a member takes."""

MOST_NUMBERS = 2**23
"""How many spikes, or inputs over time, a batch of members has: 64 MiB."""


@dataclass(frozen=True)
class Enumeration(Verifier):
    """Runs all inputs of sets with few members: flipped events, and rate codes with given draws.

    A set of rates has one member for each train of spikes that its draws make. A member is proven by the bound of
    "trains" on it alone, which pays the rounding of a run in any order of summation; where that is not enough, the
    sample is unknown.

    Args:
        patience: work that a sample may take, in `work_each`; a greater set is left alone.
    """

    asks_rows: ClassVar[bool] = True
    patience: int = PATIENCE
    name: str = "enumeration"

    def __post_init__(self) -> None:
        settle(self, at_least(0), "patience")

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's verdict; the samples that are left share the time that is left."""
        _check_known(problem)
        return one_by_one(problem, self.name, self._one)

    def takes(self, problem: Problem) -> Tensor:
        """Return which samples have a set that is small enough, (batch,) of bool."""
        return torch.tensor([self._members(problem, sample)[0] is not None for sample in problem.inputs])

    def _members(self, problem: Problem, sample: Tensor) -> tuple[Members | None, str]:
        """Return the members of one sample's set, or why they are not run."""
        members = members_of(problem, sample)
        if members is None:
            return None, "the set has no list of members"
        features = sample.shape[1:] if problem.circuit.timed else sample.shape
        most = self.patience // work_each(problem.circuit, tuple(features), walked(problem, members))
        if members.count > most:
            count = members.count
            short = str(count) if count < 10**7 else f"{count:.2g}" if count < 10**300 else "more than 1e300"
            return None, f"the set has {short} members, above the {most} that are run"
        return members, ""

    @torch.no_grad()
    def _one(self, problem: Problem) -> Verdict:
        """Decide a problem of one sample."""
        started = time.perf_counter()
        members, obstacle = self._members(problem, problem.inputs[0])
        if members is None:
            return Verdict("unknown", None, None, self.name, time.perf_counter() - started, obstacle)
        try:
            with ending(problem.deadline):
                return self._listed(problem, members, started)
        except OverflowError as error:
            return Verdict("unknown", None, None, self.name, time.perf_counter() - started, str(error))

    def _listed(self, problem: Problem, members: Members, started: float) -> Verdict:
        """Walk the members, and run those that are left, until one fails."""
        done, undecided, least = 0, 0, math.inf
        try:
            for proven, lowest, points in _parts(problem, members):
                done, least = done + proven, min(least, lowest)
                if problem.expired():
                    raise TimeIsUp
                if points is None:
                    continue
                for candidate in failing(problem, points):
                    verdict = falsified(
                        problem, 0, candidate, self.name, started, "one of the set's members fails"
                    )
                    if verdict.status == "falsified":
                        return verdict
                lower, enough = bounded(problem, points, members.count)
                undecided += int((~enough).sum())
                least, done = min(least, float(lower.nan_to_num(-math.inf).min())), done + len(points)
        except TimeIsUp:
            return self._unknown(f"{LATE} after {done} of {members.count} members", started)
        if undecided:
            reason = f"{undecided} of {done} members are decided only within the rounding error"
            return self._unknown(reason, started, least)
        reason = f"each of the set's {done} members is proven"
        return Verdict("verified", least, None, self.name, time.perf_counter() - started, reason, problem.ties)

    def _unknown(self, reason: str, started: float, margin: float | None = None) -> Verdict:
        return Verdict("unknown", margin, None, self.name, time.perf_counter() - started, reason)


def _parts(problem: Problem, members: Members) -> Iterator[tuple[int, float, Tensor | None]]:
    """Yield how many members are proven, the least of their margins, and members to be run, the worst first."""
    size = max(1, MOST_NUMBERS // max(64 * problem.circuit.num_steps, problem.inputs[0].numel()))
    if not walked(problem, members):
        yield from ((0, math.inf, points) for points in members.batches(size))
        return
    walk = Walk.of(problem, members)
    for changes in walk.members(walk.size):
        lower, proven = walk.bounds(changes)
        yield int(proven.sum()), float(lower.masked_fill(~proven, math.inf).min()), None
        left = lower.masked_fill(proven, math.inf).argsort()[: int((~proven).sum())]
        yield from ((0, math.inf, changes.at(rows).applied(problem.inputs[0])) for rows in left.split(size) if len(rows))


def members_of(problem: Problem, sample: Tensor) -> Members | None:
    """Return the members of the set around one sample, or None where they can't be listed."""
    draws, box = problem.circuit.source.draws, problem.perturbation.enclosure(sample[None])
    if torch.equal(box.lower, box.upper):
        return Members(1, lambda _: iter((box.lower,)))
    found = problem.perturbation.members(sample)
    if found is not None or draws is None:
        return found
    thresholds = draws.thresholds(problem.circuit.num_steps, tuple(sample.shape))
    return rate_members(problem.perturbation, sample, thresholds.to(sample.device))


def rate_members(perturbation: Perturbation, sample: Tensor, draws: Tensor) -> Members:
    """Return rates around one sample, one for each train of spikes that they make with `draws`, (T, ...).

    A feature's rates in [l, h] are cut at its draws in [l, h): up to one, the draw is silent, above it spikes.
    """
    rates = perturbation.enclosure(sample[None])
    low, high = rates.lower.flatten(), rates.upper.flatten()
    cells = [_middles(*feature) for feature in zip(low, high, draws.flatten(1).T, strict=True)]
    sizes = [len(cell) for cell in cells]
    table = torch.nn.utils.rnn.pad_sequence(cells)

    def batches(size: int) -> Iterator[Tensor]:
        """Yield the members: the last feature's cells turn over first."""
        radix = torch.tensor(sizes, device=sample.device)
        place = torch.tensor([math.prod(sizes[i + 1 :]) for i in range(len(sizes))], device=sample.device)
        for start in range(0, math.prod(sizes), size):
            number = torch.arange(start, min(start + size, math.prod(sizes)), device=sample.device)
            digits = number[:, None].div(place, rounding_mode="floor") % radix
            yield table.gather(0, digits).view(-1, *sample.shape)

    return Members(math.prod(sizes), batches)


def _check_known(problem: Problem) -> None:
    """Raise UnknownNode for what the bounds that pay a member's rounding do not know, whatever the set is."""
    point = problem.inputs[:1].double()
    made = problem.circuit
    bounds = Propagation(input_signal(made, Box(point, point)), step_spikes, Rounding.of(made))
    for node in made.nodes:
        check_known(node, bounds)


def _middles(low: Tensor, high: Tensor, draws: Tensor) -> Tensor:
    """Return the middle of each part of [low, high] that makes one train, by rising rate."""
    cuts = draws[(draws >= low) & (draws < high)].unique()
    starts = torch.cat([low[None], cuts.nextafter(torch.full_like(cuts, torch.inf))])
    ends = torch.cat([cuts, high[None]])
    return ((starts + ends) / 2).clamp(starts, ends)


def failing(problem: Problem, points: Tensor) -> Tensor:
    """Return the members that are misclassified in a batch, as allowed inputs: to be replayed alone."""
    inputs = points.to(problem.inputs.dtype)
    labels = problem.labels.expand(len(points))
    failed = inputs[problem.goal.values(problem.network(inputs), labels, inputs) <= 0]
    return problem.perturbation.project(failed, problem.inputs.expand(len(failed), *inputs.shape[1:]))


def bounded(problem: Problem, points: Tensor, members: int = 0) -> tuple[Tensor, Tensor]:
    """Return a lower bound of each member's margin, and whether that is enough, (n,) each.

    Args:
        problem: of one sample.
        points: some of its members.
        members: how many there are in all.
    """
    labels, goal = problem.labels.expand(len(points)), problem.goal
    exactly = replace(problem, inputs=points, labels=labels, perturbation=SpikeFlip(0), deadline=None)
    lower = point_bounds(exactly, members)
    left = (~goal.holds(goal.proven(lower, labels))).nonzero().flatten()
    if len(left):
        lower[left] = lower[left].maximum(_by_trains(exactly.subset(left)))
    return goal.least(lower), goal.holds(goal.proven(lower, labels))


def _by_trains(problem: Problem) -> Tensor:
    """Return lower bounds of the margins by trains, and where layers do not round by what that tells."""
    lower, goal = TRAINS.lower(problem), problem.goal
    if not bool(goal.proven(lower, problem.labels).all()) and (marked := exact_layers(problem)) is not None:
        lower = lower.maximum(TRAINS.lower(marked))
    return lower


def work_each(circuit: Circuit, features: tuple[int, ...], walked: bool = False) -> int:
    """Return about how much work a member is: T times all products and `NEURON` for each neuron.

    Args:
        circuit: the network.
        features: the shape of a sample at one step.
        walked: whether members are (listing.py).
    """
    counted = _Counted(torch.zeros(1, *features, dtype=circuit.dtype, device=circuit.device))
    fold(circuit, counted)
    if walked:
        return MEMBER + STEP * circuit.num_steps * counted.neurons + counted.behind
    return circuit.num_steps * (counted.work + math.prod(features))


class _Counted(Algebra[Tensor]):
    """The shapes of signals, (1, ...), and the work of what was met."""

    reader = "enumeration"
    answers = frozenset({LEAKY, VARIED, RESTS, START, WHOLE})
    declared = True
    loops = True

    def __init__(self, inputs: Tensor) -> None:
        self.inputs, self.work, self.neurons, self.behind = inputs, 0, 0, 0

    def input(self, node: Input) -> Tensor:
        """Return the inputs."""
        return self.inputs

    def mapped(self, node: Mapped, x: Tensor) -> Tensor:
        """Count the products."""
        found = node.map.linear(x)
        products = found.numel() * node.map.terms
        self.work += products
        self.behind += products * (self.neurons > 0)
        return found

    def pooled(self, node: Pooled, x: Tensor) -> Tensor:
        """Count the entries that are compared."""
        found = node.windows.largest(x)
        self.work += found.numel() * node.windows.count
        return found

    def filtered(self, node: Filtered, x: Tensor) -> Tensor:
        """Count a product and a sum for each entry."""
        self.work += 2 * x.numel()
        return x

    def chosen(self, node: Chosen, *x: Tensor) -> Tensor:
        """Return one of the signals, which are alike in shape; all of them were counted."""
        return x[0]

    def added(self, node: Added, x: Tensor, y: Tensor) -> Tensor:
        """Return the sum."""
        return x + y

    def fired(self, node: Fired, x: Tensor) -> Tensor:
        """Count the neurons."""
        self.work += NEURON * x.numel()
        self.neurons += x.numel()
        return x

    def recurred(self, node: Recurred, x: Tensor) -> Tensor:
        """Count the neurons, and the products of their feedback."""
        self.work += x.numel() * (NEURON + node.feedback.terms + 2 * (node.filter is not None))
        return x

    def read(self, node: Read, x: Tensor) -> Tensor:
        """Return the logits' shape."""
        return x


@dataclass(frozen=True)
class InputSplitting(Verifier):
    """Bisects the box of inputs until each part is proven, or its middle fails.

    Sound as the bounds of a box are: see splitting/boxes.py. A box whose question is a tie within rounding stays
    open.

    Args:
        most: how many boxes may be bounded.
    """

    asks_rows: ClassVar[bool] = True
    most: int = 2**19
    name: str = "inputs"

    def __post_init__(self) -> None:
        settle(self, at_least(1), "most")

    @torch.no_grad()
    def decide(self, problem: Problem) -> list[Verdict]:
        """Return each sample's verdict."""
        begun, count = time.perf_counter(), len(problem.labels)
        if moving(problem) is None:
            why = "expected a box of inputs (LInf, PixelBox), and no draws"
            return [Verdict("unknown", None, None, self.name, 0.0, f"inputs are not split: {why}")] * count
        target = _Decision(problem)
        search = BoxSearch(problem, target, most=self.most)
        try:
            search.run()
        except (OverflowError, TimeIsUp) as error:
            return [Verdict("unknown", None, None, self.name, 0.0, str(error))] * count
        seconds = (time.perf_counter() - begun) / count
        return [self._verdict(problem, target, search, index, seconds) for index in range(count)]

    def _verdict(
        self, problem: Problem, target: "_Decision", search: BoxSearch, index: int, seconds: float
    ) -> Verdict:
        found, margin = target.found.get(index), float(search.closed[index])
        if found is not None:
            return Verdict("falsified", None, found, self.name, seconds, "the middle of a box fails")
        if bool(search.open[index]):
            late = LATE if problem.expired() else f"{search.count} boxes leave parts of the set open"
            return Verdict("unknown", margin, None, self.name, seconds, late)
        reason = "each box of the inputs is proven"
        return Verdict("verified", margin, None, self.name, seconds, reason, problem.ties)


class _Decision(BoxTarget):
    """Every box is to be proven, or one input is to fail, run alone."""

    def __init__(self, problem: Problem) -> None:
        count = len(problem.labels)
        self.problem, self.found = problem, dict[int, Tensor]()
        self.settled = torch.zeros(count, dtype=torch.bool)

    def closes(self, rows: Tensor, sample: Tensor) -> Tensor:
        """Return which boxes are proven."""
        goal = self.problem.goal
        return goal.holds(goal.proven(rows, self.problem.labels[sample]))

    def tried(self, values: Tensor, inputs: Tensor, sample: Tensor) -> None:
        """Keep the first input of each sample that fails when run alone."""
        problem = self.problem
        for index in (values <= 0).nonzero().flatten().tolist():
            which = int(sample[index])
            if which in self.found:
                continue
            verdict = falsified(problem, which, inputs[index], "inputs", time.perf_counter(), "")
            if verdict.counterexample is not None:
                self.found[which], self.settled[which] = verdict.counterexample, True

    def gap(self, sample: Tensor) -> Tensor:
        """Return what is enough of the one row."""
        return self.problem.goal.floor(self.problem.labels[sample], 1)[:, 0]
